//! Resources and what accounts may have of them.

use alloc::string::String;

use super::{Fault, check_within};
use crate::error::{Error, check_range, check_real};
use crate::policy::field::Access;
use crate::policy::{AccountQuota, RESOURCE_NAME_BYTES_MAX, RESOURCES_MAX, table};

/// Is every name of a resource a word that can stand as a key, and none there twice?
pub(super) fn check_resources(resources: &[String]) -> Result<(), Fault> {
    check_range("resources entries", resources.len() as u64, 0, RESOURCES_MAX as u64)?;
    for (index, name) in resources.iter().enumerate() {
        check_resource_name(name)
            .and_then(|()| match resources[..index].iter().position(|other| other == name) {
                None => Ok(()),
                Some(first) => Err(Error::Duplicate {
                    field: "resources[]",
                    index: index as u64,
                    first_index: first as u64,
                }),
            })
            .map_err(|error| Fault { error, index: Some(index as u32) })?;
    }
    Ok(())
}

fn check_resource_name(name: &str) -> Result<(), Error> {
    let max = RESOURCE_NAME_BYTES_MAX as u64;
    check_range("resources[] (bytes)", name.len() as u64, 1, max)?;
    let is_other = |character: &char| !matches!(character, 'a'..='z' | '0'..='9' | '_');
    match name.chars().find(is_other) {
        None => Ok(()),
        Some(other) => {
            let field = "resources[] (character code; a to z, 0 to 9 and _ are accepted)";
            check_range(field, other.into(), 'a'.into(), 'z'.into()).map(drop)
        }
    }
}

/// Does a quota agree with itself, and say nothing of resources beyond the first `resources`?
pub(super) fn check(quota: &AccountQuota, resources: usize) -> Result<(), Error> {
    for (guaranteed, limit) in quota.quota.0.into_iter().zip(quota.limit.0).take(resources) {
        if guaranteed != u64::MAX {
            check_within(("account[].quota", guaranteed), ("limit", limit))?;
        }
    }
    for field in &table::QUOTA {
        match field.access {
            Access::Amounts { absent, get, .. } => {
                for resource in resources..RESOURCES_MAX {
                    check_range(field.path, get(quota, resource), absent, absent)?;
                }
            }
            Access::Weights { absent, get, .. } => {
                for resource in resources..RESOURCES_MAX {
                    check_real(field.path, get(quota, resource), absent, absent)?;
                }
            }
            // Said of all resources together.
            Access::Integer { .. }
            | Access::Signed { .. }
            | Access::Real { .. }
            | Access::Word { .. } => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Account, Policy};
    use std::format;
    use std::string::ToString;

    /// What the document cannot say can be said in code, and is refused all the same.
    #[test]
    fn quotas_are_of_resources_with_a_name() {
        let refused = |change: fn(&mut AccountQuota)| {
            let mut quota = AccountQuota::default();
            change(&mut quota);
            let accounts = [Account::new("a", 1.0), Account::new("b", 1.0).with_quota(quota)];
            Policy::default().with_accounts(accounts).check().unwrap_err().to_string()
        };
        assert_eq!(refused(|it| it.quota.0[3] = 1), "`account[1].quota` = 1 is outside 0..=0");
        let max = u64::MAX;
        assert_eq!(
            refused(|it| it.lending_limit.0[7] = 5),
            format!("`account[1].lending_limit` = 5 is outside {max}..={max}")
        );
        assert_eq!(
            refused(|it| it.over_quota_weight[3] = 0.0),
            "`account[1].over_quota_weight` = 0 is outside 1..=1"
        );
        assert_eq!(
            refused(|it| it.over_quota_weight[0] = f64::NAN),
            "`account[1].over_quota_weight` = NaN is outside 0..=1000000000000"
        );
        assert_eq!(
            refused(|it| it.limit.0[0] = u64::MAX - 1),
            format!("`account[1].limit` = {} is outside 0..=4611686018427387904", max - 1)
        );
        assert_eq!(
            refused(|it| (it.quota.0[2], it.limit.0[2]) = (5, 4)),
            "`account[1].quota` = 5 contradicts `limit` = 4"
        );
    }
}
