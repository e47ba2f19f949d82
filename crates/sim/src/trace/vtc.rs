//! `vtc`: the runs of the VTC artifact.
//!
//! Columns `user,prompt_len,output_len,req_time` (seconds from the start); the measured
//! latencies beside them are ignored, and a request that was aborted in the artifact's run counts
//! like any other, since it did arrive. Users become accounts of the same name.
//!
//! Source: Sheng et al., "Fairness in Serving Large Language Models" (OSDI 2024),
//! github.com/Ying1123/VTC-artifact.

use std::path::Path;

use super::builder::{Builder, name_range, plain, source};
use super::table::Table;
use super::{ReadOptions, Trace};
use crate::InputError;

pub(super) const COLUMNS: [&str; 4] = ["user", "prompt_len", "output_len", "req_time"];

pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Trace, InputError> {
    let mut table = Table::open(path)?;
    let user = table.required(COLUMNS[0])?;
    let prompt = table.required(COLUMNS[1])?;
    let output = table.required(COLUMNS[2])?;
    let time = table.required(COLUMNS[3])?;
    let mut builder = Builder::new(path, options);
    while !builder.is_full() {
        let Some(row) = table.next_row()? else { break };
        let mut request = plain(row.arrival(time)?, row.tokens(prompt)?, row.tokens(output)?);
        let Some(account) = builder.accounts.index(row.text(user)) else {
            return Err(row.wrong(user, &name_range()));
        };
        request.account = Some(account as u32);
        builder.push(row.line, COLUMNS[3], request)?;
    }
    builder.finish(source("vtc", path), 0)
}
