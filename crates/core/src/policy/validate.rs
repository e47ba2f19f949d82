//! The door: is every number of a policy inside its range, and do they agree with each other?

mod quotas;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use core::fmt;

use super::field::Field;
use super::{
    Account, CLASSES_MAX, NAME_BYTES_MAX, Policy, QueueLimits, RESERVED_RATIO_MAX, Way, table,
};
use crate::error::{Error, check_range, check_real};
use crate::units::Nanos;

/// First character that is not one of the control characters at the start of ASCII. Names stand
/// in one-line messages, metric labels and reports, where a line break or an escape would do harm.
const NAME_CHARACTER_MIN: u64 = 0x20;

/// Last code point of Unicode.
const NAME_CHARACTER_MAX: u64 = char::MAX as u64;

/// Fewest steps that a step-time model can remember: seven unknowns, seven steps for each.
const MEMORY_STEPS_MIN: u64 = 50;

/// What is wrong with a policy, and where.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Fault {
    /// The field, its value and its range.
    pub error: Error,
    /// Which class or account, counted from 0, where the field belongs to one.
    pub index: Option<u32>,
}

impl Fault {
    /// `text` with the place in the list filled in: `class[].name` becomes `class[1].name`.
    fn place(self, text: &str) -> String {
        match self.index {
            Some(index) => text.replacen("[]", &format!("[{index}]"), 1),
            None => text.into(),
        }
    }

    /// The key at fault as it stands in a document, with its place in the list. Of a sum or a
    /// count, the key that comes first.
    #[must_use]
    pub fn path(self) -> String {
        let field = self.error.field();
        self.place(field.split_once(' ').map_or(field, |(path, _)| path))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place(&self.error.to_string()))
    }
}

impl core::error::Error for Fault {}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        fault.error
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self { error, index: None }
    }
}

impl Policy {
    /// Is this a policy that desks can be built from?
    ///
    /// The ranges are those of the keys in the document. Besides: at least one class and at most
    /// [`CLASSES_MAX`]; names unique in their list, 1 to [`NAME_BYTES_MAX`] bytes, without
    /// characters below U+0020; up to [`RESOURCES_MAX`](super::RESOURCES_MAX) resources, with different names of `a` to
    /// `z`, `0` to `9` and `_`; quotas of those only, and within their limits; a weight of the past
    /// only with a half-life; `running_max` within `requests_max` and `step_tokens_max`; accounts
    /// named within `accounts_max`; `background_step_ratio` within `deadline_margin_ratio`;
    /// `cached_token_cost` within `prompt_token_cost`; guarantees and `late_ratio` together
    /// within [`RESERVED_RATIO_MAX`].
    ///
    /// # Errors
    /// The first fault found. [`Policy::check`] also says which class or account it lies in.
    pub fn validate(&self) -> Result<(), Error> {
        self.check().map_err(Error::from)
    }

    /// As [`Policy::validate`], and says which class or account is at fault.
    ///
    /// # Errors
    /// The first fault found.
    pub fn check(&self) -> Result<(), Fault> {
        self.check_in(&mut vec![0; self.accounts.len()])
    }

    /// As [`Policy::validate`], but takes nothing from the heap, because a running desk is handed
    /// changed policies: `room` has a place for each account.
    pub(crate) fn validate_in(&self, room: &mut [u32]) -> Result<(), Error> {
        self.check_in(room).map_err(Error::from)
    }

    fn check_in(&self, room: &mut [u32]) -> Result<(), Fault> {
        check_range("class entries", self.classes.len() as u64, 1, CLASSES_MAX as u64)?;
        let class_room = &mut [0; CLASSES_MAX][..self.classes.len()];
        check_names("class[].name", &self.classes, |class| &class.name, class_room)?;
        check_entries(&table::CLASS, &self.classes)?;
        check_fields(&table::ACCOUNT_DEFAULT, self)?;
        quotas::check_resources(&self.resources)?;
        check_fields(&table::HISTORY, &self.history)?;
        check_fields(&table::OBJECTIVES, &self.objectives)?;
        check_fields(&table::LIMITS, &self.limits)?;
        check_fields(&table::BATCH, &self.batch)?;
        check_fields(&table::PLACEMENT, &self.placement)?;
        check_fields(&table::ROUTE, &self.route)?;
        check_fields(&table::GATE, &self.gate)?;
        check_fields(&table::HOLD, &self.hold)?;
        check_within(
            ("account entries", self.accounts.len() as u64),
            ("limits.accounts_max", self.limits.accounts_max.into()),
        )?;
        check_names("account[].name", &self.accounts, |account| &account.name, room)?;
        check_entries(&table::ACCOUNT, &self.accounts)?;
        self.check_quotas()?;
        self.check_parents()?;
        self.check_agreement().map_err(Fault::from)
    }

    /// Does every parent stand before its parts, and is the tree flat enough?
    fn check_parents(&self) -> Result<(), Fault> {
        let mut way = Way::default();
        for index in 0..self.accounts.len() {
            let place = Some(index as u32);
            way.step(&self.accounts, index).map_err(|error| Fault { error, index: place })?;
        }
        Ok(())
    }

    /// Is every quota within its rows, and said of resources that have a name?
    fn check_quotas(&self) -> Result<(), Fault> {
        for (index, account) in (0_u32..).zip(&self.accounts) {
            check_fields(&table::QUOTA, &account.quota)
                .and_then(|()| quotas::check(&account.quota, self.resources.len()))
                .map_err(|error| Fault { error, index: Some(index) })?;
        }
        Ok(())
    }

    /// Do fields that are fine alone fit together?
    fn check_agreement(&self) -> Result<(), Error> {
        if self.history.half_life == Nanos::ZERO {
            let field = "history.usage_weight (without history.half_life_s)";
            check_real(field, self.history.usage_weight, 0.0, 0.0)?;
        }
        let running_max = ("limits.running_max", self.limits.running_max.into());
        check_within(running_max, ("limits.requests_max", self.limits.requests_max.into()))?;
        let step_tokens_max = self.limits.step_tokens_max.get().into();
        check_within(running_max, ("limits.step_tokens_max", step_tokens_max))?;
        let batch = &self.batch;
        check_real(
            "batch.background_step_ratio (at most batch.deadline_margin_ratio)",
            batch.background_step_ratio,
            0.0,
            batch.deadline_margin_ratio,
        )?;
        if batch.model_memory_steps > 0 {
            let field = "batch.model_memory_steps (0, or enough to learn from)";
            check_range(field, batch.model_memory_steps.into(), MEMORY_STEPS_MIN, u64::MAX)?;
        }
        check_real(
            "batch.cached_token_cost (at most batch.prompt_token_cost)",
            batch.cached_token_cost,
            0.0,
            batch.prompt_token_cost,
        )?;
        let guaranteed: f64 = self.classes.iter().map(|class| class.guaranteed_ratio).sum();
        check_real(
            "class[].guaranteed_ratio of all classes plus batch.late_ratio",
            guaranteed + batch.late_ratio,
            0.0,
            RESERVED_RATIO_MAX,
        )?;
        Ok(())
    }
}

impl QueueLimits {
    /// Are these limits that an account may have? Takes nothing from the heap.
    pub(crate) fn check(self) -> Result<(), Error> {
        check_fields(&table::ACCOUNT, &Account { queue: self, ..Account::new("", 1.0) })
    }
}

/// Are all fields of one struct inside their ranges?
fn check_fields<T>(fields: &[Field<T>], owner: &T) -> Result<(), Error> {
    fields.iter().try_for_each(|field| field.check(owner))
}

/// Are all fields of all entries of a list inside their ranges?
fn check_entries<T>(fields: &[Field<T>], entries: &[T]) -> Result<(), Fault> {
    for (index, entry) in entries.iter().enumerate() {
        check_fields(fields, entry).map_err(|error| Fault { error, index: Some(index as u32) })?;
    }
    Ok(())
}

/// Is one count no larger than another?
fn check_within(
    (field, value): (&'static str, u64),
    (other, other_value): (&'static str, u64),
) -> Result<(), Error> {
    if value <= other_value {
        Ok(())
    } else {
        Err(Error::Contradiction { field, value, other, other_value })
    }
}

/// Is every name of a list usable, and none there twice? `room` has a place for each.
fn check_names<T>(
    field: &'static str,
    entries: &[T],
    name: impl Fn(&T) -> &String,
    room: &mut [u32],
) -> Result<(), Fault> {
    for (index, entry) in (0_u32..).zip(entries) {
        check_name(field, name(entry)).map_err(|error| Fault { error, index: Some(index) })?;
    }
    debug_assert_eq!(room.len(), entries.len(), "a place for each");
    let name = |index: u32| entries.get(index as usize).map(&name);
    room.iter_mut().zip(0..).for_each(|(place, index)| *place = index);
    room.sort_unstable_by_key(|index| (name(*index), *index));
    // Equal names now stand side by side, earlier entry first. The least of the later ones is
    // reported, as somebody who reads from the top finds it.
    let beside = room.windows(2).filter(|pair| name(pair[0]) == name(pair[1]));
    match beside.map(|pair| (pair[1], pair[0])).min() {
        None => Ok(()),
        Some((index, first_index)) => Err(Fault {
            error: Error::Duplicate { field, index: index.into(), first_index: first_index.into() },
            index: Some(index),
        }),
    }
}

fn check_name(field: &'static str, name: &str) -> Result<(), Error> {
    let (bytes, character) = match field {
        "class[].name" => ("class[].name (bytes)", "class[].name (character code)"),
        _ => ("account[].name (bytes)", "account[].name (character code)"),
    };
    check_range(bytes, name.len() as u64, 1, NAME_BYTES_MAX as u64)?;
    for code in name.chars().map(u64::from) {
        check_range(character, code, NAME_CHARACTER_MIN, NAME_CHARACTER_MAX)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::policy::{Account, BatchRules, Class, Limits, arbitrary};
    use crate::units::{Nanos, Tokens};

    fn fault_of(policy: &Policy) -> String {
        policy.check().expect_err("must be refused").to_string()
    }

    fn with_class(change: impl FnOnce(&mut Class)) -> Policy {
        let mut policy = Policy::default();
        change(&mut policy.classes[1]);
        policy
    }

    #[test]
    fn the_first_repeat_in_a_long_list_is_named() {
        let named = |count: usize, twice: &[(usize, usize)]| {
            let mut accounts: Vec<Account> =
                (0..count).map(|i| Account::new(format!("{:04}", i * 37 % count), 1.0)).collect();
            for (later, first) in twice {
                accounts[*later].name = accounts[*first].name.clone();
            }
            let limits = Limits { accounts_max: count as u32, ..Limits::default() };
            Policy::default().with_limits(limits).with_accounts(accounts).validate()
        };
        assert_eq!(named(2_000, &[]), Ok(()));
        for (later, first) in [(1_999, 0), (1_024, 511), (513, 512), (2, 1)] {
            // A repeat further down must not be the one that is named.
            let fault = named(2_000, &[(later, first), (1_999, 0)]).unwrap_err();
            let (index, first_index) = (later as u64, first as u64);
            assert_eq!(fault, Error::Duplicate { field: "account[].name", index, first_index });
        }
    }

    #[test]
    fn faults_name_the_entry_the_value_and_the_range() {
        let policy = with_class(|class| class.tpot_target = Nanos::ZERO);
        let fault = policy.check().unwrap_err();
        assert_eq!(fault.to_string(), "`class[1].tpot_target_ms` = 0 is outside 0.01..=60000");
        assert_eq!(fault.path(), "class[1].tpot_target_ms");
        assert_eq!(policy.validate(), Err(fault.error));
        assert_eq!(fault.error.field(), "class[].tpot_target_ms");

        let policy = with_class(|class| class.delay_value = f64::NAN);
        assert_eq!(fault_of(&policy), "`class[1].delay_value` = NaN is outside 0.0001..=10000");
        let policy = with_class(|class| class.name = String::new());
        assert_eq!(fault_of(&policy), "`class[1].name (bytes)` = 0 is outside 1..=128");
        let policy = with_class(|class| class.name = "a\nb".into());
        assert_eq!(
            fault_of(&policy),
            "`class[1].name (character code)` = 10 is outside 32..=1114111"
        );
        let policy = with_class(|class| class.name = "interactive".into());
        let fault = policy.check().unwrap_err();
        assert_eq!(fault.to_string(), "`class[1].name` of entry 1 repeats that of entry 0");
        assert_eq!(fault.error.code(), -8);
        let policy = Policy::default().with_accounts([Account::new("a", -1.0)]);
        assert_eq!(fault_of(&policy), "`account[0].weight` = -1 is outside 0.001..=1000");
    }

    #[test]
    fn lists_have_bounds() {
        assert_eq!(
            fault_of(&Policy::default().with_classes([])),
            "`class entries` = 0 is outside 1..=16"
        );
        let many: Vec<Class> = (0..17).map(|i| Class::new(i.to_string())).collect();
        assert_eq!(
            fault_of(&Policy::default().with_classes(many)),
            "`class entries` = 17 is outside 1..=16"
        );
        let policy = Policy::default()
            .with_accounts([Account::new("a", 1.0), Account::new("b", 1.0)])
            .with_limits(Limits { accounts_max: 1, ..Limits::default() });
        assert_eq!(
            fault_of(&policy),
            "`account entries` = 2 contradicts `limits.accounts_max` = 1"
        );
    }

    #[test]
    fn fields_must_agree() {
        let limits = |change: fn(&mut Limits)| {
            let mut limits = Limits::default();
            change(&mut limits);
            fault_of(&Policy::default().with_limits(limits))
        };
        assert_eq!(
            limits(|limits| limits.requests_max = 100),
            "`limits.running_max` = 128 contradicts `limits.requests_max` = 100"
        );
        assert_eq!(
            limits(|limits| limits.step_tokens_max = Tokens(127)),
            "`limits.running_max` = 128 contradicts `limits.step_tokens_max` = 127"
        );
        let batch = |change: fn(&mut BatchRules)| {
            let mut batch = BatchRules::default();
            change(&mut batch);
            fault_of(&Policy::default().with_batch(batch))
        };
        assert_eq!(
            batch(|batch| batch.background_step_ratio = 0.96),
            "`batch.background_step_ratio (at most batch.deadline_margin_ratio)` = 0.96 is \
             outside 0..=0.95"
        );
        assert_eq!(
            batch(|batch| batch.cached_token_cost = 1.5),
            "`batch.cached_token_cost (at most batch.prompt_token_cost)` = 1.5 is outside 0..=1"
        );
        let mut policy = with_class(|class| class.guaranteed_ratio = 0.5);
        policy.batch.late_ratio = 0.5;
        assert_eq!(
            fault_of(&policy),
            "`class[].guaranteed_ratio of all classes plus batch.late_ratio` = 1 is outside \
             0..=0.99"
        );
        policy.batch.late_ratio = 0.49;
        assert_eq!(policy.validate(), Ok(()));
    }

    proptest! {
        #[test]
        fn policies_within_the_table_pass(policy in arbitrary::policy()) {
            prop_assert_eq!(policy.check(), Ok(()));
        }

        /// The sorted search against comparing every pair.
        #[test]
        fn the_first_repeated_name_is_found(
            names in prop::collection::vec("[ab]{1,3}", 0..12),
        ) {
            let mut expected = None;
            for index in (0..names.len()).rev() {
                if let Some(first) = names[..index].iter().position(|name| *name == names[index])
                {
                    expected = Some((index as u64, first as u64));
                }
            }
            let room = &mut vec![0; names.len()];
            let found = check_names("class[].name", &names, |name| name, room).err();
            let found = found.map(|fault| match fault.error {
                Error::Duplicate { index, first_index, .. } => (index, first_index),
                other => panic!("{other}"),
            });
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn unusual_names_are_fine() {
        let names = vec!["team/ünïcode", "日本", " ", "\u{7f}", "a.b[0]", "\"quoted\""];
        let accounts: Vec<Account> =
            names.into_iter().map(|name| Account::new(name, 1.0)).collect();
        assert_eq!(Policy::default().with_accounts(accounts).validate(), Ok(()));
    }
}
