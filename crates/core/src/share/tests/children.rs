//! Lists of children against a scan over all parents, on trees that change.

use super::*;
use crate::share::children::Children;

const ACCOUNTS: u32 = 14;

fn check(children: &Children, tree: &AccountTree) -> Result<(), TestCaseError> {
    for parent in tree.indices().chain([tree.root()]) {
        let expected: Vec<_> =
            tree.indices().filter(|index| tree.parent_at(*index) == parent).collect();
        prop_assert_eq!(children.of(parent), expected);
    }
    let mut seen = Vec::new();
    for index in children.top_down() {
        let above = tree.parent_at(*index);
        prop_assert!(above == tree.root() || seen.contains(&above), "{} before {}", index, above);
        seen.push(*index);
    }
    seen.sort_unstable();
    prop_assert_eq!(seen, tree.indices().collect::<Vec<_>>());
    Ok(())
}

proptest! {
    /// Closing one and opening another leaves as many: the lists must notice.
    #[test]
    fn lists_are_those_of_the_tree(
        ops in prop::collection::vec((any::<bool>(), 0..ACCOUNTS + 4, any::<bool>()), 0..120),
    ) {
        let mut tree = AccountTree::new(ACCOUNTS).unwrap();
        let mut children = Children::new(ACCOUNTS);
        for (open, index, look) in ops {
            let account = tree.account_at(index);
            if open && (account.is_some() || index >= ACCOUNTS) {
                let _ = tree.open(account, 1.0);
            } else if let Some(account) = account {
                let _ = tree.close(account);
            }
            if look {
                children.update(&tree);
                check(&children, &tree)?;
            }
        }
        children.update(&tree);
        check(&children, &tree)?;
    }
}

#[test]
fn another_tree_of_the_same_size_is_noticed_when_told() {
    let [mut flat, mut deep] = [(); 2].map(|()| AccountTree::new(4).unwrap());
    let mut children = Children::new(4);
    for tree in [&mut flat, &mut deep] {
        tree.open(None, 1.0).unwrap();
    }
    flat.open(None, 1.0).unwrap();
    deep.open(deep.account_at(0), 1.0).unwrap();
    children.update(&flat);
    assert_eq!(children.of(4), [0, 1]);
    children.clear();
    children.update(&deep);
    assert_eq!((children.of(4), children.of(0)), (&[0][..], &[1][..]));
}
