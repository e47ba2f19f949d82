//! How fast may an account send?
//!
//! # What it decides
//! Whether a request comes in within the requests and tokens per minute of its account and of all
//! above it, and what it takes of them, when.
//!
//! # Formula
//! ```text
//! submitted     1 request;  prompt - cached tokens, as said then
//! more cached   the difference is given back (less: taken), until its first seat and with it
//! produced      each output token, when it is observed; below nothing it is debt
//! cancelled     prompt tokens that were not computed are given back; the request is not
//! expired       the same, and the request is given back, too: it was not the account's doing
//! ```
//! A request whose prompt another engine computed takes no prompt tokens here. What has to be
//! computed again after a preemption is not the account's doing and takes nothing.
//!
//! # Bounds and cost
//! As of the buckets: `share::rate`. O(levels of accounts) in `submit`, and for each result with
//! tokens in `observe`; one comparison in each while no account has a rate.
//!
//! # What it is bad at
//! Output is not known beforehand: an account may have as many requests running as its prompts
//! allow, and pays for what they produce with a longer wait afterwards. What was cancelled
//! counts as a request, because handling it was work.

use super::request::{Request, Shed, ShedReason};
use super::{Batcher, Ledger};
use crate::error::Error;
use crate::policy::{Policy, RateLimits};
use crate::share::{AccountId, RateDecision, RateKind};
use crate::units::Nanos;

/// Sets the rates of the accounts that a policy names.
pub(super) fn set_all(ledger: &mut Ledger, named: &[AccountId], policy: &Policy, now: Nanos) {
    for (account, wanted) in named.iter().zip(&policy.accounts) {
        let set = ledger.set_rates(now, *account, &wanted.rates);
        debug_assert!(set.is_ok(), "accounts of the policy stay open, and any rate is valid");
    }
}

/// Prompt tokens to compute when so many are cached.
const fn to_compute(request: &Request, cached_tokens: u32) -> u64 {
    request.prompt_tokens.saturating_sub(cached_tokens) as u64
}

impl Batcher {
    /// Changes how fast an account, its parts included, may send from now on. Its buckets keep what
    /// they hold and owe, see [`Ledger::set_rates`]. A changed policy sets the rates of the
    /// accounts that it names again. O(1).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account.
    pub fn set_account_rates(
        &mut self,
        account: AccountId,
        rates: RateLimits,
    ) -> Result<(), Error> {
        self.lines.ledger.set_rates(self.now, account, &rates)
    }

    /// Takes what a request that comes in needs of the rates of its account and of all above, or
    /// says why not and takes nothing.
    pub(super) fn take_rate(&mut self, request: &Request, now: Nanos) -> Option<Shed> {
        let ledger = &mut self.lines.ledger;
        if !ledger.has_rate_limits() {
            return None;
        }
        let tokens = to_compute(request, request.cached_tokens);
        let decision = ledger.admit_rate(now, request.account, tokens);
        debug_assert!(decision.is_ok(), "time and account were checked");
        match decision {
            Ok(RateDecision::Over { limit, account: _, retry_after }) => {
                let reason = match limit {
                    RateKind::Requests => ShedReason::RateRequests,
                    RateKind::Tokens => ShedReason::RateTokens,
                };
                Some(Shed { reason, retry_after })
            }
            Ok(RateDecision::Within) | Err(_) => None,
        }
    }

    /// Of a request that has not been charged yet, other tokens than were thought are cached.
    pub(super) fn reprice_prompt(&mut self, slot: u32, known: u32, found: u32) {
        if !self.lines.ledger.has_rate_limits() || known == found {
            return;
        }
        let request = self.request(slot);
        let account = request.account;
        let (taken, needed) = (to_compute(request, known), to_compute(request, found));
        if needed > taken {
            self.charge_tokens(account, needed - taken);
        } else {
            self.refund(account, 0, taken - needed);
        }
    }

    /// A request ends: gives back what it took for prompt tokens that were not computed.
    pub(super) fn refund_prompt(&mut self, slot: u32, requests: u32) {
        if !self.lines.ledger.has_rate_limits() {
            return;
        }
        let request = self.request(slot);
        let have = match (request.charged, request.preemptions) {
            (false, _) => request.cached_tokens,
            (true, 0) => request.computed_tokens,
            // It lost what was computed, and that was computed all the same.
            (true, _) => request.prompt_tokens,
        };
        let (account, unused) = (request.account, to_compute(request, have));
        if unused > 0 || requests > 0 {
            self.refund(account, requests, unused);
        }
    }

    /// Output tokens came out.
    pub(super) fn charge_output(&mut self, account: AccountId, tokens: u32) {
        if self.lines.ledger.has_rate_limits() {
            self.charge_tokens(account, tokens.into());
        }
    }

    fn charge_tokens(&mut self, account: AccountId, tokens: u64) {
        let charged = self.lines.ledger.charge_rate(self.now, account, tokens);
        debug_assert!(charged.is_ok(), "accounts with requests cannot be closed");
    }

    fn refund(&mut self, account: AccountId, requests: u32, tokens: u64) {
        let refunded = self.lines.ledger.refund_rate(self.now, account, requests, tokens);
        debug_assert!(refunded.is_ok(), "accounts with requests cannot be closed");
    }
}
