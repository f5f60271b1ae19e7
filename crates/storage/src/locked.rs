//! A key in a page of its own: not swapped, not dumped, wiped on drop.

use std::io;

#[cfg(target_os = "linux")]
use memmap2::Advice;
use memmap2::MmapMut;
use zeroize::Zeroize as _;

use crate::StoreError;

/// 32 secret bytes.
pub(crate) struct LockedKey(MmapMut);

impl Drop for LockedKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl LockedKey {
    /// Copies a key into a page of its own.
    ///
    /// # Errors
    /// No memory. That the page cannot be locked is not one: what the operating system refuses is said when the process starts.
    pub(crate) fn new(key: &[u8; 32]) -> io::Result<Self> {
        let mut page = MmapMut::map_anon(key.len())?;
        let _ = page.lock();
        #[cfg(target_os = "linux")]
        {
            let _ = page.advise(Advice::DontDump);
            let _ = page.advise(Advice::DontFork);
        }
        page.copy_from_slice(key);
        Ok(Self(page))
    }

    /// The key.
    pub(crate) fn expose(&self) -> Result<&[u8; 32], StoreError> {
        self.0.first_chunk().ok_or(StoreError::Seal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn t23_its_page_is_left_out_of_core_dumps_and_locked() {
        let key = LockedKey::new(&[7; 32]).unwrap();
        let address = format!("{:x}", key.expose().unwrap().as_ptr() as usize);
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut lines = maps.lines().skip_while(|l| !l.starts_with(&address));
        let flags = lines.find(|l| l.starts_with("VmFlags:")).unwrap();
        // "do not dump", "locked", "do not copy on fork": proc(5).
        for flag in ["dd", "lo", "dc"] {
            assert!(flags.split(' ').any(|f| f == flag), "{flag}: {flags}");
        }
    }
}
