//! Every way to be wrong that an operator is likely to find, with the exact sentence.

use std::string::ToString;

use crate::policy::Policy;

/// TOML text, and what must be said about it.
const BAD_TOML: &[(&str, &str)] = &[
    // Not TOML.
    ("[limits", "line 1: cannot be read as TOML: unclosed table, expected `]`"),
    ("a = 1\na = 2", "line 2: cannot be read as TOML: duplicate key `a`"),
    (
        "[[class]]\nname = \"x",
        "line 2: cannot be read as TOML: invalid basic string, expected `\"`",
    ),
    (
        "[limits]\nrunning_max = 1\nrunning_max = 2",
        "line 3: cannot be read as TOML: duplicate key `running_max`",
    ),
    // Unknown keys: spelling, section, unit, and nothing like any.
    (
        "[limits]\nruning_max = 256",
        "line 2: `limits.runing_max` is not a known key; the nearest is `limits.running_max`",
    ),
    (
        "[limits]\n\nlate_ratio = 0.1",
        "line 3: `limits.late_ratio` is not a known key; the nearest is `batch.late_ratio`",
    ),
    (
        "late_ratio = 0.1",
        "line 1: `late_ratio` is not a known key; the nearest is `batch.late_ratio`",
    ),
    ("[limts]\nrunning_max = 2", "line 1: `limts` is not a known key; the nearest is `limits`"),
    ("[classes]", "line 1: `classes` is not a known key; the nearest is `class`"),
    (
        "[[class]]\nname = \"x\"\n[[class]]\nname = \"y\"\nttft_target_ms = 5",
        "line 5: `class[1].ttft_target_ms` is not a known key; the nearest is \
         `class[1].ttft_target_s`",
    ),
    (
        "[[class]]\nname = \"x\"\nwieght = 5",
        "line 3: `class[0].wieght` is not a known key; the nearest is `account[].weight`",
    ),
    ("[Limits]\nrunning_max = 2", "line 1: `Limits` is not a known key; the nearest is `limits`"),
    ("\"\" = 1", "line 1: `` is not a known key; the nearest is `gate`"),
    ("\"a\\nb\" = 1", "line 1: `a\\nb` is not a known key; the nearest is `gate`"),
    // Wrong kinds.
    ("preset = 3", "line 1: `preset` = 3 is a number, not the name of a preset"),
    (
        "preset = \"balance\"",
        "line 1: `preset` = \"balance\" is none of \"interactive\", \"balanced\", \
         \"throughput\"; the nearest is \"balanced\"",
    ),
    ("limits = 3", "line 1: `limits` = 3 is a number, not a table of keys"),
    ("limits = []", "line 1: `limits` is a list, not a table of keys"),
    (
        "[class]\nname = \"x\"",
        "line 1: `class` is a table, not a list of tables (`[[class]]` in TOML)",
    ),
    ("class = [1]", "line 1: `class[0]` = 1 is a number, not a table of keys"),
    (
        "class = \"x\"",
        "line 1: `class` = \"x\" is a string, not a list of tables (`[[class]]` in TOML)",
    ),
    ("[[class]]\nname = 3", "line 2: `class[0].name` = 3 is a number, not a name"),
    ("[[class]]\nname = \"x\"\n\n[[class]]\ndelay_value = 2", "line 4: `class[1].name` is missing"),
    (
        "[limits]\nrunning_max = \"many\"",
        "line 2: `limits.running_max` = \"many\" is a string, not a whole number in 1..=65536",
    ),
    (
        "[limits]\nrunning_max = true",
        "line 2: `limits.running_max` = true is a boolean, not a whole number in 1..=65536",
    ),
    (
        "[limits]\nrunning_max = 2026-01-01",
        "line 2: `limits.running_max` = 2026-01-01 is a date or time, not a whole number in \
         1..=65536",
    ),
    (
        "[limits]\nrunning_max = [1]",
        "line 2: `limits.running_max` is a list, not a whole number in 1..=65536",
    ),
    (
        "[limits]\nrunning_max = { a = 1 }",
        "line 2: `limits.running_max` is a table, not a whole number in 1..=65536",
    ),
    (
        "[batch]\nlate_ratio = \"0.1\"",
        "line 2: `batch.late_ratio` = \"0.1\" is a string, not a number in 0..=0.5",
    ),
    (
        "[limits]\nrunning_max = 1.5",
        "line 2: `limits.running_max` = 1.5 is not a whole number in 1..=65536",
    ),
    // Out of range.
    ("[limits]\nrunning_max = 0", "line 2: `limits.running_max` = 0 is outside 1..=65536"),
    ("[limits]\nrunning_max = -3", "line 2: `limits.running_max` = -3 is outside 1..=65536"),
    (
        "[limits]\nrunning_max = 0x10001",
        "line 2: `limits.running_max` = 0x10001 is outside 1..=65536",
    ),
    (
        "[limits]\nrunning_max = 99999999999999999999999999999999999999999999",
        "line 2: `limits.running_max` = 99999999999999999999999999999999999999999999 is \
         outside 1..=65536",
    ),
    ("[limits]\nrunning_max = 1e300", "line 2: `limits.running_max` = 1e300 is outside 1..=65536"),
    ("[limits]\nrunning_max = nan", "line 2: `limits.running_max` = nan is outside 1..=65536"),
    (
        "[limits]\nsteps_in_flight_max = 5",
        "line 2: `limits.steps_in_flight_max` = 5 is outside 1..=4",
    ),
    ("[batch]\nlate_ratio = nan", "line 2: `batch.late_ratio` = nan is outside 0..=0.5"),
    ("[batch]\nlate_ratio = -inf", "line 2: `batch.late_ratio` = -inf is outside 0..=0.5"),
    ("[batch]\nlate_ratio = 1e999", "line 2: `batch.late_ratio` = 1e999 is outside 0..=0.5"),
    ("[batch]\nlate_ratio = 0.51", "line 2: `batch.late_ratio` = 0.51 is outside 0..=0.5"),
    (
        "[[class]]\nname = \"x\"\n[[class]]\nname = \"y\"\ntpot_target_ms = -3",
        "line 5: `class[1].tpot_target_ms` = -3 is outside 0.01..=60000",
    ),
    (
        "[[account]]\nname = \"x\"\nweight = 0",
        "line 3: `account[0].weight` = 0 is outside 0.001..=1000",
    ),
    (
        "[account_default]\nweight = 1001",
        "line 2: `account_default.weight` = 1001 is outside 0.001..=1000",
    ),
    // Lists and names.
    ("class = []", "line 1: `class entries` = 0 is outside 1..=16"),
    ("[[class]]\nname = \"\"", "line 2: `class[0].name (bytes)` = 0 is outside 1..=128"),
    (
        "[[account]]\nname = \"a\\tb\"",
        "line 2: `account[0].name (character code)` = 9 is outside 32..=1114111",
    ),
    (
        "[[account]]\nname = \"a\"\n[[account]]\nname = \"b\"\n[[account]]\nname = \"a\"",
        "line 6: `account[2].name` = \"a\" repeats `account[0].name`",
    ),
    (
        "[[class]]\nname = \"a\"\n[[class]]\nname = \"a\"",
        "line 4: `class[1].name` = \"a\" repeats `class[0].name`",
    ),
    (
        "[limits]\naccounts_max = 1\n[[account]]\nname = \"a\"\n[[account]]\nname = \"b\"",
        "line 3: `account entries` = 2 contradicts `limits.accounts_max` = 1",
    ),
    // Resources and quotas.
    ("resources = 3", "line 1: `resources` = 3 is a number, not a list of names"),
    ("resources = [3]", "line 1: `resources[0]` = 3 is a number, not a name"),
    ("resources = [\"\"]", "line 1: `resources[0] (bytes)` = 0 is outside 1..=32"),
    (
        "resources = [\"a\",\n\"gpu milli\"]",
        "line 2: `resources[1] (character code; a to z, 0 to 9 and _ are accepted)` = 32 is \
         outside 97..=122",
    ),
    ("resources = [\"a\", \"b\", \"a\"]", "line 1: `resources[2]` = \"a\" repeats `resources[0]`"),
    (
        "resources = [\"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\", \"h\", \"i\"]",
        "line 1: `resources entries` = 9 is outside 0..=8",
    ),
    (
        "[[account]]\nname = \"a\"\nquota = { gpu = 8 }",
        "line 3: `account[0].quota.gpu` is not a known key; the nearest is \
         `account[0].quota.gpu_milli`",
    ),
    (
        "resources = []\n[[account]]\nname = \"a\"\nlimit.gpu = 8",
        "line 4: `account[0].limit.gpu` is not a known key; the nearest is `resources`",
    ),
    (
        "[[account]]\nname = \"a\"\nquota = 8",
        "line 3: `account[0].quota` = 8 is a number, not a table of amounts by resource",
    ),
    (
        "[[account]]\nname = \"a\"\nquota = { gpu_milli = -1 }",
        "line 3: `account[0].quota.gpu_milli` = -1 is outside 0..=4611686018427387904 or \
         \"unlimited\"",
    ),
    (
        "[[account]]\nname = \"a\"\nlimit = { gpu_milli = 0.5 }",
        "line 3: `account[0].limit.gpu_milli` = 0.5 is not a whole number in \
         0..=4611686018427387904 or \"unlimited\"",
    ),
    (
        "[[account]]\nname = \"a\"\nlimit = { gpu_milli = \"all\" }",
        "line 3: `account[0].limit.gpu_milli` = \"all\" is a string, not a whole number in \
         0..=4611686018427387904 or \"unlimited\"",
    ),
    (
        "[[account]]\nname = \"a\"\nquota.gpu_milli = 8\nlimit.gpu_milli = 7",
        "line 3: `account[0].quota` = 8 contradicts `limit` = 7",
    ),
    (
        "[[account]]\nname = \"a\"\nover_quota_weight = nan",
        "line 3: `account[0].over_quota_weight` = nan is outside 0..=1000000000000",
    ),
    (
        "[[account]]\nname = \"a\"\nover_quota_weight = { cpu_milli = -1 }",
        "line 3: `account[0].over_quota_weight.cpu_milli` = -1 is outside 0..=1000000000000",
    ),
    (
        "[[account]]\nname = \"a\"\nover_quota_weight = []",
        "line 3: `account[0].over_quota_weight` is a list, not a table of numbers by resource, \
         or one number for all",
    ),
    (
        "[[account]]\nname = \"a\"\nover_quota_priority = 1.5",
        "line 3: `account[0].over_quota_priority` = 1.5 is not a whole number in \
         -2147483648..=2147483647",
    ),
    (
        "[[account]]\nname = \"a\"\nover_quota_priorty = 1",
        "line 3: `account[0].over_quota_priorty` is not a known key; the nearest is \
         `account[0].over_quota_priority`",
    ),
    (
        "[history]\nusage_weight = 1",
        "line 2: `history.usage_weight (without history.half_life_s)` = 1 is outside 0..=0",
    ),
    // Fields that do not fit together.
    (
        "[limits]\nrequests_max = 100",
        "line 1: `limits.running_max` = 128 contradicts `limits.requests_max` = 100",
    ),
    (
        "[limits]\nstep_tokens_max = 1024\nrunning_max = 2048",
        "line 3: `limits.running_max` = 2048 contradicts `limits.step_tokens_max` = 1024",
    ),
    (
        "[batch]\ndeadline_margin_ratio = 0.6",
        "line 1: `batch.background_step_ratio (at most batch.deadline_margin_ratio)` = 0.8 \
         is outside 0..=0.6",
    ),
    (
        "[batch]\ncached_token_cost = 2",
        "line 2: `batch.cached_token_cost (at most batch.prompt_token_cost)` = 2 is outside \
         0..=1",
    ),
    (
        "[batch]\nlate_ratio = 0.2\n[[class]]\nname = \"x\"\nguaranteed_ratio = 0.8",
        "line 3: `class[].guaranteed_ratio of all classes plus batch.late_ratio` = 1 is \
         outside 0..=0.99",
    ),
];

/// The same for JSON, where the parser tells lines of syntax errors only.
const BAD_JSON: &[(&str, &str)] = &[
    ("", "line 1: cannot be read as JSON: EOF while parsing a value"),
    ("{\n\"limits\": {\"running_max\": 1,}}", "line 2: cannot be read as JSON: trailing comma"),
    ("{} x", "line 1: cannot be read as JSON: trailing characters"),
    ("[]", "the document is a list, not a table of keys"),
    ("null", "the document = null is no value, not a table of keys"),
    ("3", "the document = 3 is a number, not a table of keys"),
    (
        "{\"limits\": {\n\"running_max\": 1,\n\"running_max\": 2}}",
        "line 3: cannot be read as JSON: duplicate key `running_max`",
    ),
    (
        "{\"limits\": {\"runing_max\": 1}}",
        "`limits.runing_max` is not a known key; the nearest is `limits.running_max`",
    ),
    (
        "{\"limits\": {\"running_max\": 1.5}}",
        "`limits.running_max` = 1.5 is not a whole number in 1..=65536",
    ),
    (
        "{\"limits\": {\"running_max\": null}}",
        "`limits.running_max` = null is no value, not a whole number in 1..=65536",
    ),
    ("{\"limits\": {\"running_max\": -1}}", "`limits.running_max` = -1 is outside 1..=65536"),
    (
        "{\"limits\": {\"running_max\": 18446744073709551616}}",
        "`limits.running_max` = 1.8446744073709552e19 is outside 1..=65536",
    ),
    ("{\"batch\": {\"late_ratio\": 1e999}}", "line 1: cannot be read as JSON: number out of range"),
    ("{\"batch\": {\"late_ratio\": NaN}}", "line 1: cannot be read as JSON: expected value"),
    (
        "{\"class\": {\"name\": \"x\"}}",
        "`class` is a table, not a list of tables (`[[class]]` in TOML)",
    ),
    (
        "{\"class\": [{\"name\": \"x\", \"tpot_target_ms\": 60001}]}",
        "`class[0].tpot_target_ms` = 60001 is outside 0.01..=60000",
    ),
    ("{\"class\": [{\"tpot_target_ms\": 6}]}", "`class[0].name` is missing"),
    (
        "{\"account\": [{\"name\": \"a\"}, {\"name\": \"a\"}]}",
        "`account[1].name` = \"a\" repeats `account[0].name`",
    ),
    (
        "{\"preset\": \"fast\"}",
        "`preset` = \"fast\" is none of \"interactive\", \"balanced\", \"throughput\"; the \
         nearest is \"balanced\"",
    ),
];

#[test]
fn toml_sentences() {
    for (text, sentence) in BAD_TOML {
        let error = Policy::from_toml(text).expect_err(text);
        assert_eq!(error.to_string(), *sentence, "{text}");
    }
}

#[test]
fn json_sentences() {
    for (text, sentence) in BAD_JSON {
        let error = Policy::from_json(text).expect_err(text);
        assert_eq!(error.to_string(), *sentence, "{text}");
    }
}

#[test]
fn path_and_line_can_be_read_by_programs() {
    let error = Policy::from_toml("[[class]]\nname = \"x\"\n\ntpot_target_ms = -3").unwrap_err();
    assert_eq!((error.path.as_str(), error.line), ("class[0].tpot_target_ms", Some(4)));
    assert_eq!(error.message, "`class[0].tpot_target_ms` = -3 is outside 0.01..=60000");
    let error = Policy::from_json("{\n\"limits\": 3}").unwrap_err();
    assert_eq!((error.path.as_str(), error.line), ("limits", None));
}
