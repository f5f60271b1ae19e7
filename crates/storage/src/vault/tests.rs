use super::*;

fn owner(name: &str) -> OperatorId {
    OperatorId::new(name).unwrap()
}

fn name(who: &str, secret: u8, index: u16) -> PartName {
    PartName {
        owner: owner(who),
        secret: Hash32::from_bytes([secret; 32]),
        index,
    }
}

fn vault(party: &str, stores: &BlobStores) -> Vault {
    let party = PartyId::new(party).unwrap();
    Vault::new(&party, stores.clone(), &Zeroizing::new([3; 32])).unwrap()
}

/// Every test, on memory and on files.
async fn each(test: impl AsyncFn(BlobStores)) {
    test(BlobStores::open(["memory://"]).unwrap()).await;
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file://{}", dir.path().display());
    test(BlobStores::open([url]).unwrap()).await;
}

#[tokio::test]
async fn parts_come_back_until_they_expire_and_are_then_purged() {
    each(async |stores| {
        let vault = vault("party-1", &stores);
        vault.put(&name("ann", 1, 1), 100, b"one", 0).await.unwrap();
        vault.put(&name("ann", 1, 2), 200, b"two", 0).await.unwrap();
        vault.put(&name("ben", 1, 1), 100, b"ben", 0).await.unwrap();
        assert_eq!(&**vault.get(&name("ann", 1, 1), 99).await.unwrap(), b"one");
        let gone = vault.get(&name("ann", 1, 1), 100).await;
        assert!(matches!(gone, Err(VaultError::Missing { .. })));
        let (listed, damaged) = vault.list(&owner("ann"), 100).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].name.index, listed[0].expires_at), (2, 200));
        assert!(damaged.is_empty());
        let purged = vault.purge(100).await.unwrap();
        assert_eq!(purged, [name("ann", 1, 1), name("ben", 1, 1)]);
        assert_eq!(stores.list("vault").await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_same_part_twice_is_fine_another_is_a_conflict() {
    each(async |stores| {
        let vault = vault("party-1", &stores);
        let name = name("ann", 1, 1);
        vault.put(&name, 100, b"one", 0).await.unwrap();
        vault.put(&name, 100, b"one", 0).await.unwrap();
        for (expires_at, part) in [(100, b"two"), (101, b"one")] {
            let other = vault.put(&name, expires_at, part, 0).await;
            assert!(matches!(other, Err(VaultError::Conflict { .. })));
        }
        assert_eq!(&**vault.get(&name, 0).await.unwrap(), b"one");
        assert!(matches!(
            vault.put(&name, 5, b"x", 5).await,
            Err(VaultError::Past { .. })
        ));
        for part in [vec![], vec![0; MAX_PART + 1]] {
            let refused = vault.put(&name, 100, &part, 0).await;
            assert!(matches!(refused, Err(VaultError::Size)));
        }
    })
    .await;
}

#[tokio::test]
async fn a_bad_copy_in_one_store_hides_no_good_one_in_another() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let url = |dir: &tempfile::TempDir| format!("file://{}", dir.path().display());
    let both = BlobStores::open(dirs.each_ref().map(url)).unwrap();
    let first = BlobStores::open([url(&dirs[0])]).unwrap();
    let vault = vault("party-1", &both);
    let name = name("ann", 1, 1);
    vault.put(&name, 100, b"one", 0).await.unwrap();
    let path = vault.path(&name);
    for bad in [b"nonsense".to_vec(), vec![0; MAX_PART + OVERHEAD + 1]] {
        first.delete(&path).await.unwrap();
        first.put(&path, &bad).await.unwrap();
        assert_eq!(&**vault.get(&name, 0).await.unwrap(), b"one");
    }
}

#[tokio::test]
async fn a_store_cannot_swap_alter_prolong_or_lend_parts() {
    each(async |stores| {
        let vault = vault("party-1", &stores);
        let (one, two) = (name("ann", 1, 1), name("ann", 1, 2));
        vault.put(&one, 100, b"one", 0).await.unwrap();
        let path = vault.path(&one);
        let bytes = stores.get(&path, 10_000).await.unwrap();
        let replace = async |path: &str, bytes: &[u8]| {
            stores.delete(path).await.unwrap();
            stores.put(path, bytes).await.unwrap();
        };
        // Under another name.
        replace(&vault.path(&two), &bytes).await;
        let swapped = vault.get(&two, 0).await;
        assert!(matches!(swapped, Err(VaultError::Damaged(_))));
        let (listed, damaged) = vault.list(&owner("ann"), 0).await.unwrap();
        assert_eq!((listed.len(), damaged.len()), (1, 1));
        // Any byte, those of the expiry among them.
        for position in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[position] ^= 1;
            replace(&path, &altered).await;
            assert!(vault.get(&one, 0).await.is_err(), "byte {position}");
        }
        // Another party's.
        replace(&path, &bytes).await;
        let other = self::vault("party-2", &stores);
        let lent = other.read(&path).await;
        assert!(matches!(lent, Err(VaultError::Damaged(_))));
        assert_eq!(&**vault.get(&one, 0).await.unwrap(), b"one");
    })
    .await;
}
