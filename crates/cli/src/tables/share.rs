//! Tables of accounts, as `sshare` has them, and the reasons for the place of one.

use std::io;

use super::{print, row, table_within};
use crate::console::Console;
use crate::jobs::{Holding, Row, Shares, Standings};

/// Width where there is no terminal to ask: nine columns, with some room for names.
const COLUMNS: u16 = 100;

/// A column: its head, and its cell for a row. Left out where no cell has anything in it.
struct Column<'a> {
    head: String,
    cell: Box<dyn Fn(&Row) -> String + 'a>,
}

fn column<'a>(head: &str, cell: impl Fn(&Row) -> String + 'a) -> Column<'a> {
    Column { head: head.to_owned(), cell: Box::new(cell) }
}

/// All accounts.
pub(crate) fn standings(standings: &Standings, console: &mut Console<'_>) -> io::Result<()> {
    writeln!(console.out, "{}", headline(standings))?;
    print_columns(&history_columns(standings), standings, console)?;
    for resource in &standings.resources {
        let total = resource.capacity.map_or_else(String::new, |total| format!(", {total} in all"));
        writeln!(console.out, "\n{}{total}", resource.name)?;
        print_columns(&resource_columns(&resource.name), standings, console)?;
    }
    let columns = [
        column("dominant share", |row| {
            some(row.numbers.dominant_share > 0.0, || real(row.numbers.dominant_share))
        }),
        column("of", |row| row.numbers.dominant_resource.clone().unwrap_or_default()),
        column("borrowed permille", |row| count(row.numbers.borrowed_permille)),
        column("of ", |row| row.numbers.borrowed_resource.clone().unwrap_or_default()),
    ];
    if has_content(&columns, standings) {
        writeln!(console.out, "\nAll resources")?;
        print_columns(&columns, standings, console)?;
    }
    Ok(())
}

fn headline(standings: &Standings) -> String {
    let ranking = match standings.damping {
        Some(damping) => format!("Classic ranking, damping {damping}"),
        None => "Fair Tree".to_owned(),
    };
    format!("{ranking}; users {}; usage {}", standings.users, real(standings.usage))
}

fn history_columns(standings: &Standings) -> Vec<Column<'_>> {
    let is_used = standings.usage > 0.0;
    vec![
        column("user", |row| row.user.clone().unwrap_or_default()),
        column("shares", |row| shares(row.shares)),
        column("norm shares", |row| format!("{:.6}", row.shares_norm)),
        column("usage", move |row| some(is_used, || real(row.usage))),
        column("effective", move |row| some(is_used, || format!("{:.6}", row.usage_effective))),
        column("LevelFS", |row| row.level_fs.map_or_else(String::new, |level| real(level.0))),
        column("factor", |row| row.factor.map_or_else(String::new, |value| format!("{value:.6}"))),
        column("rank", |row| row.rank.map_or_else(String::new, |rank| rank.to_string())),
    ]
}

fn resource_columns(name: &str) -> Vec<Column<'_>> {
    let amount = |head: &str, amount: fn(&Holding) -> u64| {
        column(head, move |row| {
            row.numbers
                .resources
                .get(name)
                .map_or_else(String::new, |holding| count(amount(holding)))
        })
    };
    vec![
        amount("quota", |holding| holding.quota.0),
        column("limit", |row| {
            let limit = row.numbers.resources.get(name).map(|holding| holding.limit);
            limit
                .filter(|limit| !limit.is_unlimited())
                .map_or_else(String::new, |limit| limit.0.to_string())
        }),
        amount("held", |holding| holding.held),
        amount("asked", |holding| holding.asked),
        amount("of quota", |holding| holding.fair_share_of_quota),
        amount("over quota", |holding| holding.fair_share_over_quota),
        amount("fair share", |holding| holding.fair_share),
    ]
}

fn has_content(columns: &[Column<'_>], standings: &Standings) -> bool {
    columns.iter().any(|column| is_filled(column, standings))
}

fn is_filled(column: &Column<'_>, standings: &Standings) -> bool {
    let is_empty = |cell: String| cell.is_empty() || cell == "0";
    standings.accounts.iter().any(|row| !is_empty((column.cell)(row)))
}

/// The accounts, indented, and the columns that have anything in them.
fn print_columns(
    columns: &[Column<'_>],
    standings: &Standings,
    console: &mut Console<'_>,
) -> io::Result<()> {
    let columns: Vec<_> = columns.iter().filter(|column| is_filled(column, standings)).collect();
    let heads: Vec<&str> =
        std::iter::once("account").chain(columns.iter().map(|column| column.head.trim())).collect();
    let mut table = table_within(COLUMNS, &heads, console);
    for account in &standings.accounts {
        let name = format!("{}{}", indent(account.level), account.account);
        let cells = columns.iter().map(|column| (column.cell)(account));
        table.add_row(row(std::iter::once(name).chain(cells)));
    }
    print(&table, console)
}

fn indent(level: u32) -> String {
    "  ".repeat(level.saturating_sub(1) as usize)
}

fn some(there: bool, text: impl Fn() -> String) -> String {
    if there { text() } else { String::new() }
}

fn shares(shares: Shares) -> String {
    match shares {
        Shares::Number(number) => number.to_string(),
        Shares::Word(word) => word.to_owned(),
    }
}

fn count(amount: u64) -> String {
    if amount == u64::MAX { "unlimited".to_owned() } else { amount.to_string() }
}

/// Six decimals, as Slurm prints, without zeros at the end.
fn real(value: f64) -> String {
    let text = format!("{value:.6}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Why the last of the accounts is where it is, level by level.
pub(crate) fn explained(standings: &Standings, console: &mut Console<'_>) -> io::Result<()> {
    let Some(last) = standings.accounts.last() else { return Ok(()) };
    writeln!(console.out, "{}", place(last, standings))?;
    for row in &standings.accounts {
        writeln!(console.out, "level {}: {}", row.level, row.path)?;
        writeln!(console.out, "  {}", level_sentence(row))?;
        writeln!(console.out, "  {}", level_fs_sentence(row))?;
        if standings.is_classic {
            writeln!(
                console.out,
                "  S = {} of everything; UE = {}; UE / S = {}",
                real(row.shares_norm),
                real(row.usage_effective),
                real(row.usage_effective / row.shares_norm)
            )?;
        }
        for resource in &standings.resources {
            let holding = row.numbers.resources.get(&resource.name);
            if let (Some(holding), Some(_)) = (holding, resource.capacity) {
                writeln!(console.out, "  {}: {}", resource.name, share_sentence(row, holding))?;
                writeln!(console.out, "    {}", wish_sentence(holding))?;
            }
        }
    }
    resources_together(last, console)
}

fn place(row: &Row, standings: &Standings) -> String {
    let factor = row.factor.map_or_else(String::new, |factor| format!(", factor {factor:.6}"));
    let how = match standings.damping {
        Some(damping) => format!("classic: 2^(-(UE / S) / {damping})"),
        None => "Fair Tree: level by level, the largest LevelFS first".to_owned(),
    };
    match row.rank {
        Some(rank) => format!("{}: rank {rank} of {}{factor} ({how})", row.path, standings.users),
        None => format!("{}: no rank, since it has accounts below it{factor} ({how})", row.path),
    }
}

fn level_sentence(row: &Row) -> String {
    let part = |part: f64, whole: f64| if part == 0.0 { 0.0 } else { part / whole };
    let shares = match row.shares {
        Shares::Word(_) => "the shares of its parent".to_owned(),
        Shares::Number(shares) => format!(
            "{} of {} shares = {}",
            real(shares),
            real(row.level_shares),
            real(part(shares, row.level_shares))
        ),
    };
    format!(
        "{shares}; used {} of {} = {}",
        real(row.usage),
        real(row.level_usage),
        real(part(row.usage, row.level_usage))
    )
}

fn level_fs_sentence(row: &Row) -> String {
    let Some((level_fs, rank)) = row.level_fs.zip(row.level_rank) else {
        return "stands aside: what is below it shares with its siblings".to_owned();
    };
    let why = match row.shares {
        Shares::Word(_) => " (a user with the shares of its parent)",
        Shares::Number(0.0) => " (no shares)",
        Shares::Number(_) if row.usage == 0.0 => " (nothing used)",
        Shares::Number(_) if level_fs.0 < 1.0 => " (used more than its share)",
        Shares::Number(_) => "",
    };
    format!("LevelFS {}{why}: place {rank} of {}", real(level_fs.0), row.level_members)
}

fn share_sentence(row: &Row, holding: &Holding) -> String {
    let Holding { fair_share, fair_share_of_quota, fair_share_over_quota, .. } = holding;
    format!(
        "fair share {fair_share} = {fair_share_of_quota} of its quota of {} + \
         {fair_share_over_quota} over it (weight {}, priority {})",
        count(holding.quota.0),
        real(holding.over_quota_weight),
        row.numbers.over_quota_priority
    )
}

fn wish_sentence(holding: &Holding) -> String {
    let Holding { held, asked, .. } = holding;
    format!("holds {held}, asks for {asked} more: {}", limited_by(holding))
}

/// What kept a fair share from being more.
fn limited_by(holding: &Holding) -> String {
    let wanted = holding.held.saturating_add(holding.asked);
    if holding.fair_share < holding.guaranteed {
        return format!(
            "its quota guarantees {}, which the share of the account above does not cover",
            holding.guaranteed
        );
    }
    if holding.fair_share < holding.request {
        return "more is with its siblings".to_owned();
    }
    if holding.fair_share == wanted {
        return "that is all it wants".to_owned();
    }
    let own = holding.limit.0.min(if holding.over_quota_weight == 0.0 {
        holding.quota.0
    } else {
        u64::MAX
    });
    match own {
        own if own > holding.request => "limits below it leave the rest".to_owned(),
        own if own == holding.limit.0 => format!("its limit is {own}"),
        _ => "its over-quota weight is 0".to_owned(),
    }
}

fn resources_together(row: &Row, console: &mut Console<'_>) -> io::Result<()> {
    let numbers = &row.numbers;
    if let Some(resource) = &numbers.dominant_resource {
        let share = real(numbers.dominant_share);
        writeln!(console.out, "dominant share {share}: of {resource}, divided by its weight")?;
    }
    if let Some(resource) = &numbers.borrowed_resource {
        let permille = numbers.borrowed_permille;
        writeln!(
            console.out,
            "borrowed {permille} permille of what can be borrowed of {resource}"
        )?;
    }
    Ok(())
}
