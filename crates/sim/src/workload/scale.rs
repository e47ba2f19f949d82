//! Workloads made faster, shorter or larger, and what they ask for.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use rampmeter::Nanos;
use rampmeter::policy::CLASSES_MAX;

use super::Workload;
use crate::InputError;

/// Factors on arrival times that make sense: from a million times faster to a million slower.
const FACTOR: RangeInclusive<f64> = 1e-6..=1e6;

/// The bit of a block's name from which on a merge tells workloads apart; traces number their
/// blocks from zero and have fewer than 2^48.
const WORKLOAD_BIT: u32 = 48;

/// What a workload asks for as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Offered {
    /// Requests.
    pub requests: u64,
    /// Prompt tokens of all requests.
    pub prompt_tokens: u64,
    /// Output tokens of all requests.
    pub output_tokens: u64,
    /// Arrival of the last request, in seconds from the start.
    pub span_s: f64,
}

impl Offered {
    /// Requests a second, from the start to the last arrival; zero for a single moment.
    pub fn requests_per_s(&self) -> f64 {
        if self.span_s > 0.0 { self.requests as f64 / self.span_s } else { 0.0 }
    }

    /// Prompt and output tokens a second, likewise.
    pub fn tokens_per_s(&self) -> f64 {
        let tokens = (self.prompt_tokens + self.output_tokens) as f64;
        if self.span_s > 0.0 { tokens / self.span_s } else { 0.0 }
    }
}

impl Workload {
    /// What it asks for.
    pub fn offered(&self) -> Offered {
        let mut offered = Offered::default();
        for request in &self.requests {
            offered.requests += 1;
            offered.prompt_tokens += u64::from(request.prompt_tokens);
            offered.output_tokens += u64::from(request.output_tokens);
        }
        offered.span_s = self.requests.last().map_or(0.0, |last| last.arrival.as_seconds());
        offered
    }

    /// Multiplies every arrival time by `factor`: 0.5 doubles the load. The pattern of bursts
    /// keeps its shape; lengths and prefixes stay.
    ///
    /// # Errors
    /// The factor is not a number in 1e-6..=1e6, or the last arrival would not fit; nothing is
    /// changed.
    pub fn rescale(&mut self, factor: f64) -> Result<(), InputError> {
        let wrong =
            |problem: String| Err(InputError::new(&self.source, problem).in_field("factor"));
        if !FACTOR.contains(&factor) {
            let (min, max) = (FACTOR.start(), FACTOR.end());
            return wrong(format!("`{factor}` is not a number in {min}..={max}"));
        }
        let last_s = self.requests.last().map_or(0.0, |last| last.arrival.as_seconds());
        if Nanos::try_from_seconds(last_s * factor).is_none() {
            return wrong(format!("`{factor}` moves the last arrival, {last_s} s, out of range"));
        }
        for request in &mut self.requests {
            // Rounding keeps the order, and so does the multiplication.
            request.arrival = Nanos((request.arrival.get() as f64 * factor).round() as u64);
        }
        Ok(())
    }

    /// Keeps the first `requests` requests.
    pub fn truncate_requests(&mut self, requests: usize) {
        self.requests.truncate(requests);
    }

    /// Keeps the requests that arrive before `end`.
    pub fn truncate_at(&mut self, end: Nanos) {
        self.requests.truncate(self.requests.partition_point(|request| request.arrival < end));
    }

    /// Puts several workloads on one clock. Classes and accounts of the same name become one;
    /// requests that arrive together stand in the order of the workloads. Prefixes are not shared
    /// between workloads: two traces that number their blocks from zero do not mean the same text.
    ///
    /// # Errors
    /// A class or account means different things in two of them, prefix blocks differ in size, or
    /// there are too many classes.
    pub fn merge(workloads: Vec<Self>) -> Result<Self, InputError> {
        let mut merged = Self {
            source: String::new(),
            requests: Vec::new(),
            classes: Vec::new(),
            accounts: Vec::new(),
            prefix_block_tokens: 0,
        };
        let mut account_indices = HashMap::new();
        for (number, mut workload) in workloads.into_iter().enumerate() {
            let class_of = merged.adopt_classes(&workload)?;
            let account_of = merged.adopt_accounts(&workload, &mut account_indices)?;
            merged.adopt_blocks(&workload)?;
            for request in &mut workload.requests {
                request.class = class_of[usize::from(request.class)];
                request.account = account_of[request.account as usize];
                for block in &mut request.prefix {
                    *block ^= (number as u64) << WORKLOAD_BIT;
                }
            }
            merged.requests.append(&mut workload.requests);
            if !merged.source.is_empty() {
                merged.source.push_str(" + ");
            }
            merged.source.push_str(&workload.source);
        }
        merged.requests.sort_by_key(|request| request.arrival);
        Ok(merged)
    }

    fn adopt_classes(&mut self, other: &Self) -> Result<Vec<u16>, InputError> {
        let mut indices = Vec::with_capacity(other.classes.len());
        for class in &other.classes {
            let known = self.classes.iter().position(|known| known.name == class.name);
            let index = known.unwrap_or(self.classes.len());
            if known.is_none() {
                self.classes.push(class.clone());
            } else if self.classes[index] != *class {
                let problem = format!("class `{}` has other targets elsewhere", class.name);
                return Err(InputError::new(&other.source, problem).in_field("class"));
            }
            indices.push(index as u16);
        }
        if self.classes.len() > CLASSES_MAX {
            let problem = format!("brings more than {CLASSES_MAX} classes together");
            return Err(InputError::new(&other.source, problem).in_field("class"));
        }
        Ok(indices)
    }

    fn adopt_accounts(
        &mut self,
        other: &Self,
        known: &mut HashMap<String, u32>,
    ) -> Result<Vec<u32>, InputError> {
        let mut indices = Vec::with_capacity(other.accounts.len());
        for account in &other.accounts {
            let next = self.accounts.len() as u32;
            let index = *known.entry(account.name.clone()).or_insert(next);
            if index == next {
                self.accounts.push(account.clone());
            } else if self.accounts[index as usize].weight != account.weight {
                let problem = format!("account `{}` has another weight elsewhere", account.name);
                return Err(InputError::new(&other.source, problem).in_field("account"));
            }
            indices.push(index);
        }
        Ok(indices)
    }

    fn adopt_blocks(&mut self, other: &Self) -> Result<(), InputError> {
        let size = other.prefix_block_tokens;
        if size == 0 || self.prefix_block_tokens == size {
            return Ok(());
        }
        if self.prefix_block_tokens != 0 {
            let problem = format!("`{size}` differs from {} elsewhere", self.prefix_block_tokens);
            return Err(InputError::new(&other.source, problem).in_field("prefix_block_tokens"));
        }
        self.prefix_block_tokens = size;
        Ok(())
    }

    /// Checks what every reader, mix and merge guarantees, for workloads made otherwise.
    ///
    /// # Errors
    /// Names the first request (from 1) that is out of order, empty, over its own limit, or of a
    /// class or account that is not there, or whose prefix is longer than its prompt.
    pub fn check(&self) -> Result<(), InputError> {
        let mut last = Nanos::ZERO;
        for (number, request) in self.requests.iter().enumerate() {
            let blocks_max = match self.prefix_block_tokens {
                0 => 0,
                size => request.prompt_tokens.div_ceil(size),
            };
            let (field, problem) = if request.arrival < last {
                ("arrival", "is earlier than the request before".to_owned())
            } else if request.prompt_tokens == 0 {
                ("prompt_tokens", "`0` is not at least 1".to_owned())
            } else if request.output_tokens == 0 {
                ("output_tokens", "`0` is not at least 1".to_owned())
            } else if request.output_tokens_max < request.output_tokens {
                let (max, tokens) = (request.output_tokens_max, request.output_tokens);
                ("output_tokens_max", format!("`{max}` is less than its output, {tokens}"))
            } else if usize::from(request.class) >= self.classes.len() {
                ("class", format!("`{}` is not one of {}", request.class, self.classes.len()))
            } else if request.account as usize >= self.accounts.len() {
                ("account", format!("`{}` is not one of {}", request.account, self.accounts.len()))
            } else if request.prefix.len() > blocks_max as usize {
                ("prefix", format!("`{}` blocks, at most {blocks_max}", request.prefix.len()))
            } else {
                last = request.arrival;
                continue;
            };
            let problem = format!("request {}: {problem}", number + 1);
            return Err(InputError::new(&self.source, problem).in_field(field));
        }
        Ok(())
    }
}
