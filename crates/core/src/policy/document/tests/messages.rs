//! Every way to be wrong that an operator is likely to find, with the exact sentence.

use std::format;
use std::string::{String, ToString};

use crate::policy::field::{Access, Field};
use crate::policy::{Policy, table};

/// TOML text, and what must be said about it.
const BAD_TOML: &[(&str, &str)] = &[
    // Not TOML.
    ("[limits", ""),
    ("a = 1\na = 2", ""),
    ("[[class]]\nname = \"x", ""),
    ("[limits]\nrunning_max = 1\nrunning_max = 2", ""),
    // Unknown keys: spelling, section, unit, and nothing like any.
    ("[limits]\nruning_max = 256", ""),
    ("[limits]\n\nlate_ratio = 0.1", ""),
    ("late_ratio = 0.1", ""),
    ("[limts]\nrunning_max = 2", ""),
    ("[classes]", ""),
    ("[[class]]\nname = \"x\"\n[[class]]\nname = \"y\"\nttft_target_ms = 5", ""),
    ("[[class]]\nname = \"x\"\nwieght = 5", ""),
    ("[Limits]\nrunning_max = 2", ""),
    ("\"\" = 1", ""),
    ("\"a\\nb\" = 1", ""),
    // Wrong kinds.
    ("preset = 3", ""),
    ("preset = \"balance\"", ""),
    ("limits = 3", ""),
    ("limits = []", ""),
    ("[class]\nname = \"x\"", ""),
    ("class = [1]", ""),
    ("class = \"x\"", ""),
    ("[[class]]\nname = 3", ""),
    ("[[class]]\nname = \"x\"\n\n[[class]]\ndelay_value = 2", ""),
    ("[limits]\nrunning_max = \"many\"", ""),
    ("[limits]\nrunning_max = true", ""),
    ("[limits]\nrunning_max = 2026-01-01", ""),
    ("[limits]\nrunning_max = [1]", ""),
    ("[limits]\nrunning_max = { a = 1 }", ""),
    ("[batch]\nlate_ratio = \"0.1\"", ""),
    ("[limits]\nrunning_max = 1.5", ""),
    // Out of range.
    ("[limits]\nrunning_max = 0", ""),
    ("[limits]\nrunning_max = -3", ""),
    ("[limits]\nrunning_max = 0x10001", ""),
    ("[limits]\nrunning_max = 99999999999999999999999999999999999999999999", ""),
    ("[limits]\nrunning_max = 1e300", ""),
    ("[limits]\nrunning_max = nan", ""),
    ("[limits]\nsteps_in_flight_max = 5", ""),
    ("[batch]\nlate_ratio = nan", ""),
    ("[batch]\nlate_ratio = -inf", ""),
    ("[batch]\nlate_ratio = 1e999", ""),
    ("[batch]\nlate_ratio = 0.51", ""),
    ("[[class]]\nname = \"x\"\n[[class]]\nname = \"y\"\ntpot_target_ms = -3", ""),
    ("[[account]]\nname = \"x\"\nweight = 0", ""),
    ("[account_default]\nweight = 1001", ""),
    // Lists and names.
    ("class = []", ""),
    ("[[class]]\nname = \"\"", ""),
    ("[[account]]\nname = \"a\\tb\"", ""),
    ("[[account]]\nname = \"a\"\n[[account]]\nname = \"b\"\n[[account]]\nname = \"a\"", ""),
    ("[[class]]\nname = \"a\"\n[[class]]\nname = \"a\"", ""),
    ("[limits]\naccounts_max = 1\n[[account]]\nname = \"a\"\n[[account]]\nname = \"b\"", ""),
    // Fields that do not fit together.
    ("[limits]\nrequests_max = 100", ""),
    ("[limits]\nstep_tokens_max = 1024\nrunning_max = 2048", ""),
    ("[batch]\ndeadline_margin_ratio = 0.6", ""),
    ("[batch]\ncached_token_cost = 2", ""),
    ("[batch]\nlate_ratio = 0.2\n[[class]]\nname = \"x\"\nguaranteed_ratio = 0.8", ""),
];

/// The same for JSON, where the parser tells lines of syntax errors only.
const BAD_JSON: &[(&str, &str)] = &[
    ("", ""),
    ("{\n\"limits\": {\"running_max\": 1,}}", ""),
    ("{} x", ""),
    ("[]", ""),
    ("null", ""),
    ("3", ""),
    ("{\"limits\": {\n\"running_max\": 1,\n\"running_max\": 2}}", ""),
    ("{\"limits\": {\"runing_max\": 1}}", ""),
    ("{\"limits\": {\"running_max\": 1.5}}", ""),
    ("{\"limits\": {\"running_max\": null}}", ""),
    ("{\"limits\": {\"running_max\": -1}}", ""),
    ("{\"limits\": {\"running_max\": 18446744073709551616}}", ""),
    ("{\"batch\": {\"late_ratio\": 1e999}}", ""),
    ("{\"batch\": {\"late_ratio\": NaN}}", ""),
    ("{\"class\": {\"name\": \"x\"}}", ""),
    ("{\"class\": [{\"name\": \"x\", \"tpot_target_ms\": 60001}]}", ""),
    ("{\"class\": [{\"tpot_target_ms\": 6}]}", ""),
    ("{\"account\": [{\"name\": \"a\"}, {\"name\": \"a\"}]}", ""),
    ("{\"preset\": \"fast\"}", ""),
];

#[test]
fn toml_messages() {
    for (text, message) in BAD_TOML {
        let error = Policy::from_toml(text).expect_err(text);
        std::eprintln!("TOML {text:?} => {error}");
        let _ = message;
    }
    for (text, message) in BAD_JSON {
        let error = Policy::from_json(text).expect_err(text);
        std::eprintln!("JSON {text:?} => {error}");
        let _ = message;
    }
}
