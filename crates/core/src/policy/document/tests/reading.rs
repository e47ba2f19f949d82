//! What a good document means, and that printing one loses nothing.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use crate::policy::document::DOCUMENT_BYTES_MAX;
use crate::policy::field::{Access, Field};
use crate::policy::{
    ACCOUNTS_MAX, AMOUNT_MAX, Account, AccountQuota, Amounts, Class, EngineMode, Limits,
    NAME_BYTES_MAX, Policy, Preset, QueueLimits, RESOURCES_MAX, RateLimits, arbitrary, keys, table,
};
use crate::units::{Nanos, Tokens};

#[test]
fn nothing_said_is_the_default() {
    assert_eq!(Policy::from_toml(""), Ok(Policy::default()));
    assert_eq!(Policy::from_toml("\u{feff}# only a comment\r\n"), Ok(Policy::default()));
    assert_eq!(Policy::from_json("\u{feff} {} "), Ok(Policy::default()));
}

#[test]
fn a_preset_is_the_base_of_what_follows() {
    for preset in Preset::ALL {
        let text = format!("preset = \"{}\"", preset.name());
        assert_eq!(Policy::from_toml(&text), Ok(preset.policy()));
        let text = format!("{{\"limits\": {{}}, \"preset\": \"{}\"}}", preset.name());
        assert_eq!(Policy::from_json(&text), Ok(preset.policy()));
    }
    let policy = Policy::from_toml("preset = \"throughput\"\n[batch]\nlate_ratio = 0.2").unwrap();
    let mut expected = Preset::Throughput.policy();
    expected.batch.late_ratio = 0.2;
    assert_eq!(policy, expected);
}

#[test]
fn a_class_starts_from_the_preset_or_from_the_template() {
    let policy = Policy::from_toml(
        r#"
        preset = "throughput"
        class = [
            { name = "batch", ttft_target_s = 0.25 },
            { name = "agent", tpot_target_ms = 12.5 },
        ]
        "#,
    )
    .unwrap();
    let of_preset = Preset::Throughput.policy().classes[1].clone();
    let expected = [
        Class { ttft_target: Nanos::from_millis(250), ..of_preset },
        Class { tpot_target: Nanos(12_500_000), ..Class::new("agent") },
    ];
    assert_eq!(*policy.classes, expected);
}

#[test]
fn an_account_without_a_weight_takes_the_default_of_the_document() {
    let text = "[[account]]\nname = \"a\"\n[[account]]\nname = \"b\"\nweight = 1\n\
                [account_default]\nweight = 2.5";
    let policy = Policy::from_toml(text).unwrap();
    assert_eq!(*policy.accounts, [Account::new("a", 2.5), Account::new("b", 1.0)]);
}

#[test]
fn numbers_may_be_written_in_any_form_that_is_exact() {
    let policy = Policy::from_toml(
        "[limits]\nrunning_max = 0x1_00\nstep_tokens_max = 4e3\n[batch]\noutput_token_cost = 4",
    )
    .unwrap();
    let limits = Limits { running_max: 256, step_tokens_max: Tokens(4_000), ..Limits::default() };
    assert_eq!(policy.limits, limits);
    assert_eq!(policy.batch.output_token_cost, 4.0);
    let policy = Policy::from_json(r#"{"limits": {"running_max": 64.0}}"#).unwrap();
    assert_eq!(policy.limits.running_max, 64);
}

/// Both ends of every range are read, and what lies just outside is refused with the range.
fn check_ends<T>(fields: &[Field<T>]) {
    for field in fields {
        let (ends, beyond) = match field.access {
            Access::Integer { min, max, .. } => {
                let below = i128::from(min) - 1;
                let above = i128::from(max) + 1;
                ([min, max].map(|end| end.to_string()), [below, above].map(|end| end.to_string()))
            }
            Access::Real { min, max, .. } => (
                [min, max].map(|end| format!("{end:?}")),
                [min.next_down(), max.next_up()].map(|end| format!("{end:?}")),
            ),
            Access::Signed { min, max, .. } => (
                [min, max].map(|end| end.to_string()),
                [i128::from(min) - 1, i128::from(max) + 1].map(|end| end.to_string()),
            ),
            // Words and what is said of each resource are tested by name below.
            Access::Word { .. } | Access::Amounts { .. } | Access::Weights { .. } => continue,
        };
        let (section, name) = field.path.rsplit_once('.').unwrap();
        let document = |value: &str| match section.strip_suffix("[]") {
            Some(list) => format!("[[{list}]]\nname = \"x\"\n{name} = {value}"),
            None => format!("[{section}]\n{name} = {value}"),
        };
        let path = field.path.replace("[]", "[0]");
        for end in ends {
            // Fields that must agree with this one may object; this one's own range may not.
            if let Err(error) = Policy::from_toml(&document(&end)) {
                let own = format!("`{path}` = ");
                assert!(!error.message.starts_with(&own) || error.message.contains("contradicts"));
            }
        }
        for value in beyond {
            let error = Policy::from_toml(&document(&value)).expect_err(field.path);
            let range = field.access.to_string();
            assert!(error.message.starts_with(&format!("`{path}` = ")), "{error}");
            assert!(error.message.ends_with(&format!(" is outside {range}")), "{error}");
            assert_eq!((error.path.as_str(), error.line.is_some()), (path.as_str(), true));
        }
    }
}

#[test]
fn every_range_is_enforced_at_its_ends() {
    check_ends(&table::CLASS);
    check_ends(&table::ACCOUNT);
    check_ends(&table::QUOTA);
    check_ends(&table::ACCOUNT_DEFAULT);
    check_ends(&table::HISTORY);
    check_ends(&table::OBJECTIVES);
    check_ends(&table::LIMITS);
    check_ends(&table::BATCH);
    check_ends(&table::PLACEMENT);
}

#[test]
fn the_commented_default_explains_each_key_once() {
    let accounts = [Account::new("a", 1.0), Account::new("b", 1.0).under("a")];
    let text = Policy::default().with_accounts(accounts).to_toml_with_comments();
    for key in keys().iter().filter(|key| key.path != "preset") {
        assert_eq!(text.matches(&format!("# {}\n", key.about)).count(), 1, "{}", key.path);
    }
    assert!(text.contains("\nprefill_floor_tokens = 64\n"), "{text}");
}

/// The most accounts with the longest names fit, in both formats.
#[test]
fn the_largest_ordinary_policy_reads_back() {
    let name = |index: usize| format!("{index:0>NAME_BYTES_MAX$}");
    let accounts: Vec<Account> =
        (0..ACCOUNTS_MAX).map(|index| Account::new(name(index), 1.0)).collect();
    let limits = Limits { accounts_max: ACCOUNTS_MAX as u32, ..Limits::default() };
    let policy = Policy::default().with_accounts(accounts).with_limits(limits);
    // Not `assert_eq`: nobody wants to read 131,072 accounts.
    assert!(Policy::from_toml(&policy.to_toml()).as_ref() == Ok(&policy));
    assert!(Policy::from_json(&policy.to_json()).as_ref() == Ok(&policy));
}

/// The most accounts fit with every key at its longest, of the resources that policies have. Of
/// each format one account is measured, since all are as long.
#[test]
fn the_most_accounts_with_every_key_fit() {
    let name = |index: usize| format!("{index:\"<NAME_BYTES_MAX$}");
    let amounts = |absent| {
        let mut amounts = [absent; RESOURCES_MAX];
        amounts[..Policy::default().resources.len()].fill(AMOUNT_MAX);
        Amounts(amounts)
    };
    let long = 0.1 + 0.2;
    let account = |index: usize| {
        let mut account = Account::new(name(index), long).under(name(0));
        account.queue = QueueLimits {
            requests_max: 1 << 20,
            tokens_max: 1 << 44,
            wait_max: Nanos::from_seconds(86_399.123_456_789),
        };
        account.rates = RateLimits {
            requests_per_minute: 1 << 30,
            tokens_per_minute: 1 << 44,
            burst: Nanos::from_seconds(86_399.123_456_789),
        };
        account.quota = AccountQuota {
            quota: amounts(0),
            limit: amounts(u64::MAX),
            lending_limit: amounts(u64::MAX),
            over_quota_weight: [long, long, long, 1.0, 1.0, 1.0, 1.0, 1.0],
            over_quota_priority: i32::MIN,
        };
        account
    };
    let of = |accounts: usize| {
        let first = Account::new(name(0), 1.0);
        let all: Vec<Account> = [first].into_iter().chain((1..accounts).map(account)).collect();
        Policy::default().with_accounts(all)
    };
    assert_eq!(Policy::from_toml(&of(3).to_toml()), Ok(of(3)));
    assert_eq!(Policy::from_json(&of(3).to_json()), Ok(of(3)));
    let formats: [fn(&Policy) -> String; 2] = [Policy::to_toml, Policy::to_json];
    for text in formats {
        let [short, long] = [of(1), of(11)].map(|policy| text(&policy).len());
        let most = short + (long - short) / 10 * ACCOUNTS_MAX;
        std::println!("{most} bytes");
        assert!(most <= DOCUMENT_BYTES_MAX, "{most}");
    }
}

#[test]
fn quotas_are_said_of_each_resource_by_name() {
    let policy = Policy::from_toml(
        r#"
        resources = ["gpu_milli", "licences"]
        [[account]]
        name = "a"
        quota = { gpu_milli = 8_000, licences = "unlimited" }
        limit = { gpu_milli = 1.6e4 }
        lending_limit = { licences = 0 }
        over_quota_weight = { licences = 2.5 }
        over_quota_priority = -3
        requests_per_minute = 60
        [[account]]
        name = "b"
        over_quota_weight = 0
        [[account]]
        name = "c"
        quota = {}
        [account_default]
        tokens_per_minute = 1000
        rate_burst_s = 2.5
        [history]
        half_life_s = 604800
        usage_weight = 0.5
        "#,
    )
    .unwrap();
    let absent = AccountQuota::default();
    let mut a = AccountQuota { over_quota_priority: -3, ..absent };
    a.quota.0[..2].copy_from_slice(&[8_000, u64::MAX]);
    a.limit.0[0] = 16_000;
    a.lending_limit.0[1] = 0;
    a.over_quota_weight[1] = 2.5;
    let mut b = absent;
    b.over_quota_weight[..2].fill(0.0);
    let rates = RateLimits {
        tokens_per_minute: 1_000,
        burst: Nanos::from_millis(2_500),
        requests_per_minute: 0,
    };
    assert_eq!(policy.account_default_rates, rates);
    assert_eq!(
        *policy.accounts,
        [
            Account {
                rates: RateLimits { requests_per_minute: 60, ..rates },
                ..Account::new("a", 1.0).with_quota(a)
            },
            Account { rates, ..Account::new("b", 1.0).with_quota(b) },
            Account { rates, ..Account::new("c", 1.0) },
        ]
    );
    assert_eq!(policy.history.half_life, Nanos::from_millis(604_800_000));
    assert_eq!(policy.history.usage_weight, 0.5);
    assert!(policy.to_toml().contains("quota = { gpu_milli = 8000, licences = \"unlimited\" }\n"));
    let plain = Policy::default().with_accounts([Account::new("a", 1.0)]).to_toml();
    assert!(!plain.contains("quota = "), "{plain}");
    let none = Policy::from_toml("resources = []").unwrap();
    assert_eq!(none.resources.len(), 0);
    assert_eq!(Policy::from_toml(&none.to_toml()), Ok(none));
}

/// Words and parents are read, and what is not known is refused by name.
#[test]
fn words_and_parents_are_checked() {
    let policy = Policy::from_toml("[batch]\nmode = \"decode\"\ntriage = \"off\"").unwrap();
    assert_eq!((policy.batch.mode, policy.batch.triage), (EngineMode::Decode, false));
    let refused = |text: &str| Policy::from_toml(text).unwrap_err().to_string();
    assert_eq!(
        refused("[batch]\nmode = \"both\""),
        "line 2: `batch.mode` = \"both\" is a string, not one of mixed, prefill, decode"
    );
    assert!(refused("[batch]\ntriage = 1").ends_with("is a number, not one of off, on"));
    let tree = "[[account]]\nname = \"a\"\n[[account]]\nname = \"b\"\nparent = \"a\"";
    let policy = Policy::from_toml(tree).unwrap();
    assert_eq!(policy.accounts[1], Account::new("b", 1.0).under("a"));
    assert_eq!(
        refused("[[account]]\nname = \"b\"\nparent = \"a\""),
        "line 3: `account[0].parent` of entry 0 names nothing that stands before it"
    );
    assert!(refused("[[account]]\nname = \"b\"\nparent = \"b\"").contains("account[0].parent"));
    assert!(refused("[[account]]\nname = \"b\"\nparent = 1").contains("the name of an account"));
    let chain: String = (0..9)
        .map(|level: i32| match level {
            0 => "[[account]]\nname = \"0\"\n".into(),
            _ => format!("[[account]]\nname = \"{level}\"\nparent = \"{}\"\n", level - 1),
        })
        .collect();
    assert!(refused(&chain).contains("`account[8].parent (levels)` = 9 is outside 1..=8"));
}

#[test]
fn a_document_that_is_too_long_is_not_parsed() {
    let text: String = "#".repeat(DOCUMENT_BYTES_MAX);
    assert_eq!(Policy::from_toml(&text), Ok(Policy::default()));
    let error = Policy::from_toml(&(text + "#")).unwrap_err();
    let (most, more) = (DOCUMENT_BYTES_MAX, DOCUMENT_BYTES_MAX + 1);
    assert_eq!(error.to_string(), format!("the document has {more} bytes; {most} are accepted"));
}

proptest! {
    #[test]
    fn printing_loses_nothing(policy in arbitrary::policy()) {
        for toml in [policy.to_toml(), policy.to_toml_with_comments()] {
            let read = Policy::from_toml(&toml);
            prop_assert_eq!(read.as_ref(), Ok(&policy));
        }
        let read = Policy::from_json(&policy.to_json());
        prop_assert_eq!(read.as_ref(), Ok(&policy));
    }
}
