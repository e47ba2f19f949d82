//! Who felt what: each account under each policy, at one load.

use maud::{Markup, html};

use super::measures::{self, Line};
use super::text;
use crate::results::{Felt, ServingRun};

/// Accounts shown in a panel; the rest are counted.
const ACCOUNTS_SHOWN: usize = 12;
/// An account is pointed out when it asks for this many times an equal share.
const GREEDY_FACTOR: f64 = 2.0;

/// One panel per policy with a bar per account; nothing when there are fewer than two accounts.
pub(super) fn accounts(lines: &[Line<'_>], load: Option<f64>) -> Markup {
    let runs: Vec<(&Line<'_>, &ServingRun)> =
        lines.iter().filter_map(|line| Some((line, measures::at(line, load)?))).collect();
    let Some((_, first)) = runs.first().filter(|(_, run)| run.accounts.len() > 1) else {
        return html! {};
    };
    let mut names: Vec<&String> = first.accounts.keys().collect();
    names.sort_by_key(|name| (std::cmp::Reverse(first.accounts[*name].offered), *name));
    let hidden = names.len().saturating_sub(ACCOUNTS_SHOWN);
    names.truncate(ACCOUNTS_SHOWN);
    html! {
        h3 { "Account by account" }
        p {
            "At load " (text::load(load)) ", each panel is one policy, each bar the share of an \
             account's requests that met both targets; beside it the account's p99 time to first \
             token, over all classes."
            @if let Some(note) = greedy_note(first) { " " (note) }
            @if hidden > 0 { " " (text::count(hidden as u64)) " accounts that ask for less are not \
                shown." }
        }
        div.panels {
            @for (line, run) in &runs {
                div class={ "panel p" (line.slot) } {
                    h4 { (super::page::chip(line)) (line.label) }
                    @if let Some(sentence) = differences(run) { p.small { (sentence) } }
                    table.bars {
                        thead { tr { th scope="col" { "Account" } th scope="col" { "Met targets" }
                            th.number scope="col" { "p99 TTFT" } } }
                        tbody { @for name in &names {
                            (row(name, run.accounts.get(*name), is_greedy(run, name)))
                        } }
                    }
                }
            }
        }
    }
}

/// How far one account got ahead of another while both waited in the same class.
fn differences(run: &ServingRun) -> Option<String> {
    let within = run.class_service_difference_max.iter();
    let within: Vec<String> =
        within.map(|(class, tokens)| format!("{class} {}", text::figures(*tokens))).collect();
    (!within.is_empty())
        .then(|| format!("Service difference, max, in tokens: {}", within.join(", ")))
}

fn row(name: &str, felt: Option<&Felt>, greedy: bool) -> Markup {
    let met =
        felt.filter(|felt| felt.offered > 0).and_then(|felt| measures::finite(felt.attainment));
    let wait = felt.and_then(|felt| measures::quantile(felt, |felt| felt.ttft_s.p99));
    html! {
        tr.greedy[greedy] {
            th scope="row" { (name) }
            td { (bar(met)) }
            td.number { (wait.map_or_else(|| text::NONE.to_owned(), text::seconds)) }
        }
    }
}

/// A bar with its figure written on it; the figure is what a screen reader gets.
fn bar(ratio: Option<f64>) -> Markup {
    let Some(ratio) = ratio else { return html! { (text::NONE) } };
    let width = format!("width:{:.1}%", ratio.clamp(0.0, 1.0) * 100.0);
    html! {
        span.track { span.fill style=(width) {} }
        span.value { (text::percent(ratio)) }
    }
}

fn share(run: &ServingRun, account: &str) -> f64 {
    let all: u64 = run.accounts.values().map(|felt| felt.offered).sum();
    let own = run.accounts.get(account).map_or(0, |felt| felt.offered);
    if all == 0 { 0.0 } else { own as f64 / all as f64 }
}

fn is_greedy(run: &ServingRun, account: &str) -> bool {
    share(run, account) * run.accounts.len() as f64 >= GREEDY_FACTOR
}

fn greedy_note(run: &ServingRun) -> Option<String> {
    let name = run.accounts.keys().find(|name| is_greedy(run, name))?;
    Some(format!(
        "{name} (in bold) sends {} of all requests, where an equal share would be {}.",
        text::percent(share(run, name)),
        text::percent(1.0 / run.accounts.len() as f64)
    ))
}
