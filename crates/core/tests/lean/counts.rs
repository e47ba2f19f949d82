//! Which answers a run has seen, so that a test can say that no path was left out.

use rampmeter::Error;

/// Kinds of error, by `-code`; place 0 counts the answers that were `Ok`.
const KINDS: usize = 16;

/// Distinct (call, field) pairs of refused calls that one run can note.
const FIELDS_MAX: usize = 128;

/// Answers by call and kind, without a heap.
pub struct Counts {
    pub answers: [u64; KINDS],
    /// Requests whose KV came back.
    pub swapped_in: u64,
    /// Entries of deltas that told something new, and entries told.
    pub exchanged: [u64; 2],
    /// Refusals by the call and the field they named.
    fields: [(&'static str, &'static str, u64); FIELDS_MAX],
    fields_len: usize,
    text: FixedText,
}

/// Longest message: three numbers of at most 24 characters, a name, and a dozen words.
const TEXT_BYTES_MAX: usize = 256;

/// A text of fixed length: messages are written here, since they are hot path too.
struct FixedText {
    bytes: [u8; TEXT_BYTES_MAX],
    len: usize,
}

impl core::fmt::Write for FixedText {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let end = self.len + text.len();
        let room = self.bytes.get_mut(self.len..end).ok_or(core::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            answers: [0; KINDS],
            swapped_in: 0,
            exchanged: [0; 2],
            fields: [("", "", 0); FIELDS_MAX],
            fields_len: 0,
            text: FixedText { bytes: [0; TEXT_BYTES_MAX], len: 0 },
        }
    }
}

impl Counts {
    /// Notes an answer of `call` and returns its value if there is one.
    pub fn note<T>(&mut self, call: &'static str, answer: Result<T, Error>) -> Option<T> {
        match answer {
            Ok(value) => {
                self.answers[0] += 1;
                Some(value)
            }
            Err(error) => {
                self.refused(call, error);
                None
            }
        }
    }

    fn refused(&mut self, call: &'static str, error: Error) {
        use core::fmt::Write;
        self.answers[-error.code() as usize] += 1;
        self.text.len = 0;
        write!(self.text, "{error}").expect("every message fits");
        let known = &mut self.fields[..self.fields_len];
        let field = error.field();
        if let Some(entry) = known.iter_mut().find(|entry| (entry.0, entry.1) == (call, field)) {
            entry.2 += 1;
        } else {
            self.fields[self.fields_len] = (call, field, 1);
            self.fields_len += 1;
        }
    }

    fn assert_refused(&self, wanted: &[(&'static str, &'static str)]) {
        let known = &self.fields[..self.fields_len];
        for (call, field) in wanted {
            let seen = known.iter().any(|entry| (entry.0, entry.1) == (*call, *field));
            assert!(seen, "{call} was never refused for `{field}`: {known:?}");
        }
    }

    pub fn assert_every_path_was_taken(&self) {
        // Ok, and every code of the table in `Error::code`.
        assert!(self.answers[..=8].iter().all(|count| *count > 0), "{:?}", self.answers);
        assert!(self.swapped_in > 0, "nothing was swapped");
        assert!(self.exchanged.iter().all(|count| *count > 100), "{:?}", self.exchanged);
        self.assert_refused(&[
            ("submit", "now_ns"),
            ("submit", "arrival_ns"),
            ("submit", "class"),
            ("submit", "account"),
            ("submit", "prompt_tokens"),
            ("submit", "cached_tokens"),
            ("submit", "output_tokens_max"),
            ("submit", "request"),
            ("submit", "adapter"),
            ("submit", "shares"),
            ("submit", "handed_over.output_tokens"),
            ("release", "now_ns"),
            ("release", "request"),
            ("cancel", "now_ns"),
            ("cancel", "request"),
            ("form", "now_ns"),
            ("form", "entries"),
            ("form", "preempted"),
            ("form", "expired"),
            ("form", "steps_in_flight"),
            ("observe", "now_ns"),
            ("observe", "step"),
            ("observe", "request"),
            ("observe", "output_tokens"),
            ("observe", "kv_blocks_free"),
            ("set_cached_tokens", "request"),
            ("set_cached_tokens", "cached_tokens"),
            ("progress", "request"),
            ("explain", "request"),
            ("explain", "now_ns"),
            ("save", "snapshot"),
            ("class_stats", "class"),
            ("change", "now_ns"),
            ("change", "request"),
            ("change", "class"),
            ("set_account_queue", "account"),
            ("set_account_queue", "account[].queue_requests_max"),
            ("set_account_rates", "account"),
            ("open_account", "account"),
            ("open_account", "weight"),
            ("set_account_weight", "account"),
            ("set_account_weight", "weight"),
            ("close_account", "account"),
            ("set_policy", "running_max"),
            ("set_policy", "mode"),
            ("set_policy", "classes"),
            ("set_policy", "class[].delay_value"),
            ("set_policy", "class[].name"),
            ("model", "prefill_s_per_token"),
            ("drop_swapped", "now_ns"),
            ("drop_swapped", "request"),
            ("swap", "out_s_per_block"),
            ("set_replica", "replica"),
            ("set_replica", "incarnation"),
            ("set_account_key", "account"),
            ("set_account_key", "key"),
            ("delta", "replica"),
            ("delta_all", "next"),
            ("merge", "replica"),
            ("merge", "key"),
            ("merge", "lane"),
            ("merge", "served"),
            ("merge", "told"),
            ("forget_replica", "replica"),
            ("account_service", "account"),
        ]);
    }

    pub fn assert_every_ledger_path_was_taken(&self) {
        self.assert_refused(&[
            ("open", "account"),
            ("open", "weight"),
            ("close", "account"),
            ("set_weight", "weight"),
            ("set_weight", "account"),
            ("arrive", "account"),
            ("arrive", "lane"),
            ("depart", "waiting"),
            ("charge", "cost"),
            ("charge", "account"),
            ("charge", "lane"),
            ("counter", "lane"),
            ("lead", "account"),
            ("rivals", "account"),
            ("eligible", "credit"),
            ("set_rates", "account"),
            ("set_rates", "now_ns"),
            ("admit_rate", "account"),
            ("admit_rate", "now_ns"),
            ("rate_check", "now_ns"),
            ("charge_rate", "now_ns"),
            ("refund_rate", "now_ns"),
        ]);
    }
}
