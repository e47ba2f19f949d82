//! Makes `include/rampmeter.h`: one section for each source file of the C ABI, in the order in which
//! somebody would learn it.
//!
//! `rampmeter-header` writes the header, `rampmeter-header --check` fails if it is another.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cbindgen::{Builder, Config, DocumentationStyle, Language, Style};

/// Sources below `crates/ffi/src`: each list is one section, which opens with the module comment of
/// the file that is in no folder.
const SECTIONS: &[&[&str]] = &[
    &["status.rs"],
    &["error.rs"],
    &["policy.rs"],
    &["engine.rs"],
    &["exchange.rs"],
    &[
        "batcher/requests.rs",
        "batcher.rs",
        "batcher/steps.rs",
        "batcher/answers.rs",
        "batcher/accounts.rs",
    ],
    &[
        "dynamic.rs",
        "dynamic/options.rs",
        "dynamic/requests.rs",
        "dynamic/batches.rs",
        "dynamic/answers.rs",
    ],
    &["gate.rs", "gate/requests.rs", "gate/answers.rs"],
    &[
        "headroom.rs",
        "headroom/events.rs",
        "headroom/answers.rs",
        "headroom/reserve.rs",
        "headroom/shadow.rs",
    ],
    &[
        "ledger.rs",
        "ledger/accounts.rs",
        "ledger/counters.rs",
        "ledger/quotas.rs",
        "ledger/division.rs",
        "ledger/dominant.rs",
        "ledger/reclaim.rs",
        "ledger/history.rs",
        "ledger/rates.rs",
        "ledger/copies.rs",
    ],
    &[
        "placer/fleet.rs",
        "placer/tasks.rs",
        "placer.rs",
        "placer/life.rs",
        "placer/cycle.rs",
        "placer/answers.rs",
        "placer/what_if.rs",
        "placer/nodes.rs",
    ],
    &[
        "router.rs",
        "router/replicas.rs",
        "router/requests.rs",
        "router/events.rs",
        "router/answers.rs",
    ],
    &["outcomes.rs", "outcomes/service.rs", "outcomes/answers.rs", "outcomes/saved.rs"],
    &[
        "probe/reading.rs",
        "probe.rs",
        "probe/snapshot.rs",
        "probe/gpus.rs",
        "probe/lists.rs",
        "probe/signals.rs",
        "probe/poller.rs",
        "probe/node.rs",
        "probe/bridges.rs",
    ],
];

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("include/rampmeter.h");
    let header = match generate(&root.join("crates/ffi/src")) {
        Ok(header) => header,
        Err(message) => return fail(&message),
    };
    if std::env::args().nth(1).as_deref() == Some("--check") {
        return match std::fs::read_to_string(&path) {
            Ok(committed) if committed == header => ExitCode::SUCCESS,
            Ok(_) => fail("include/rampmeter.h is not what its sources say: run `make header`"),
            Err(error) => fail(&format!("include/rampmeter.h: {error}")),
        };
    }
    match std::fs::write(&path, header) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("include/rampmeter.h: {error}")),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::FAILURE
}

fn generate(sources: &Path) -> Result<String, String> {
    let mut header = String::from(include_str!("head.h"));
    header.push_str(
        "#ifndef RAMPMETER_H\n#define RAMPMETER_H\n\n#include <stddef.h>\n#include <stdint.h>\n\n\
         #ifdef __cplusplus\nextern \"C\" {\n#endif\n",
    );
    for section in SECTIONS {
        let paths: Vec<PathBuf> = section.iter().map(|file| sources.join(file)).collect();
        let desk = section.iter().find(|file| !file.contains('/')).unwrap_or(&section[0]);
        header.push_str(&banner(&sources.join(desk))?);
        header.push_str(&tidy(&bindings(&paths)?));
    }
    header.push_str("\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
    Ok(header)
}

fn read(source: &Path) -> Result<String, String> {
    std::fs::read_to_string(source).map_err(|error| format!("{}: {error}", source.display()))
}

/// The module comment of a source, as the heading of its section.
fn banner(source: &Path) -> Result<String, String> {
    let text = read(source)?;
    let mut banner = String::from("\n/* ");
    banner.push_str(&"=".repeat(96));
    banner.push('\n');
    for line in text.lines().map_while(|line| line.strip_prefix("//!")) {
        writeln!(banner, " *{line}").map_err(|error| error.to_string())?;
    }
    banner.push_str(" */\n\n");
    Ok(banner)
}

/// Comments of one sentence on one line, and negative constants in parentheses.
fn tidy(bindings: &str) -> String {
    let lines: Vec<&str> = bindings.lines().collect();
    let mut tidy = String::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let indent = &line[..line.len() - line.trim_start().len()];
        let sentence = lines.get(at + 1).and_then(|next| next.trim_start().strip_prefix("* "));
        let closes = lines.get(at + 2).is_some_and(|next| next.trim() == "*/");
        match sentence {
            Some(sentence)
                if line.trim() == "/**" && closes && sentence.len() + indent.len() < 92 =>
            {
                tidy.extend([indent, "/** ", sentence, " */"]);
                at += 2;
            }
            _ => match line.strip_prefix("#define ").and_then(|rest| rest.split_once(" -")) {
                Some((name, number)) => tidy.extend(["#define ", name, " (-", number, ")"]),
                None => tidy.push_str(line),
            },
        }
        tidy.push('\n');
        at += 1;
    }
    tidy
}

/// Names of the structures in these sources.
fn structures(sources: &[PathBuf]) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for source in sources {
        let text = read(source)?;
        let declared = text.lines().filter_map(|line| line.strip_prefix("pub struct "));
        names.extend(declared.filter_map(|rest| Some(rest.split([' ', '(']).next()?.to_owned())));
    }
    Ok(names)
}

fn bindings(sources: &[PathBuf]) -> Result<String, String> {
    let mut config = Config {
        language: Language::C,
        style: Style::Both,
        documentation_style: DocumentationStyle::Doxy,
        usize_is_size_t: true,
        no_includes: true,
        line_length: 100,
        tab_width: 4,
        ..Config::default()
    };
    config.function.sort_by = Some(cbindgen::SortKey::None);
    // Also what no function of this section takes.
    config.export.include = structures(sources)?;
    let mut builder = Builder::new().with_config(config);
    for source in sources {
        builder = builder.with_src(source);
    }
    let mut out = Vec::new();
    builder.generate().map_err(|error| error.to_string())?.write(&mut out);
    String::from_utf8(out).map_err(|error| error.to_string())
}
