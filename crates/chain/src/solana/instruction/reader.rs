//! Little-endian fields, and accounts by their number.

/// The accounts an instruction names, base58.
pub(super) struct Accounts(Vec<String>);

impl Accounts {
    pub(super) fn new(keys: Vec<String>) -> Self {
        Self(keys)
    }

    /// Exactly `N` accounts.
    pub(super) fn exactly<const N: usize>(&self) -> Option<&[String; N]> {
        self.0.as_slice().try_into().ok()
    }

    pub(super) fn all(&self) -> &[String] {
        &self.0
    }
}

/// What is left of an instruction's data.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    /// A key in base58.
    pub(super) fn key(&mut self) -> Option<String> {
        self.take::<32>()
            .map(|bytes| bs58::encode(bytes).into_string())
    }

    /// `COption` in instruction data: a byte 0, or a byte 1 and the key.
    pub(super) fn optional_key(&mut self) -> Option<Option<String>> {
        match self.u8()? {
            0 => Some(None),
            1 => self.key().map(Some),
            _ => None,
        }
    }

    /// A string of bincode: length as u64, then UTF-8.
    pub(super) fn string(&mut self) -> Option<&'a str> {
        let len = usize::try_from(self.u64()?).ok()?;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}
