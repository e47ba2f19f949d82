//! A driver that is not one: `tests/fake` compiled, in a folder of its own with its scenario.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use rampmeter_probe::nvml::Nvml;
use tempfile::TempDir;

/// One library with one scenario. The library is loaded for as long as the process lives.
pub(crate) struct Fake {
    folder: TempDir,
}

impl Fake {
    pub(crate) fn nvml(spec: &str) -> Self {
        Self::nvml_without(&[], spec)
    }

    /// A library that lacks these symbols, as an older one does.
    pub(crate) fn nvml_without(symbols: &[&str], spec: &str) -> Self {
        let fake = Self { folder: TempDir::new().unwrap() };
        compile("nvml.c", "nvml*", symbols, &fake.library());
        fake.becomes(spec);
        fake
    }

    /// Beside NVML, CUDA of the same scenario.
    pub(crate) fn and_cuda(self, symbols: &[&str]) -> Self {
        compile("cuda.c", "cu*", symbols, &self.folder().join("libcuda.so"));
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn library(&self) -> PathBuf {
        self.folder().join("libnvidia-ml.so.1")
    }

    pub(crate) fn probe(&self) -> Nvml {
        Nvml::with_library(self.library())
    }

    /// Another scenario from the next call on.
    pub(crate) fn becomes(&self, spec: &str) {
        let draft = self.folder().join("draft");
        fs::write(&draft, spec).unwrap();
        fs::rename(draft, self.folder().join("spec")).unwrap();
    }

    /// The calls that were made, in order: name and device.
    pub(crate) fn calls(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder().join("log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    pub(crate) fn called(&self, name: &str) -> usize {
        let is_it = |line: &&String| line.split(' ').next() == Some(name);
        self.calls().iter().filter(is_it).count()
    }
}

/// Links with these symbols left out, and copies: a library is what its file is, so that each test
/// needs a file of its own. What was built before is used again.
fn compile(source: &str, exports: &str, hidden: &[&str], to: &Path) {
    // The tests of other crates use this, too.
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../probe/tests/fake");
    let changed = |name: &str| fs::metadata(sources.join(name)).unwrap().modified().unwrap();
    let newest = changed(source).max(changed("spec.h"));
    let object = built(&format!("{source}.o"), newest, |draft| {
        let mut cc = Command::new("cc");
        cc.args(["-std=gnu11", "-O1", "-g", "-fPIC", "-fvisibility=hidden", "-c"]);
        cc.arg(sources.join(source)).arg("-o").arg(draft.join("out"));
        cc
    });
    let mut hasher = DefaultHasher::new();
    hidden.hash(&mut hasher);
    let library = built(&format!("{source}-{:x}.so", hasher.finish()), newest, |draft| {
        let hidden = [hidden, &[""]].concat().join("; ");
        let map = draft.join("map");
        fs::write(&map, format!("{{ global: {exports}; local: {hidden}*; }};")).unwrap();
        let mut cc = Command::new("cc");
        cc.arg("-shared").arg(format!("-Wl,--version-script={}", map.display()));
        cc.arg(&object).args(["-pthread", "-ldl", "-o"]).arg(draft.join("out"));
        cc
    });
    fs::copy(library, to).unwrap();
}

/// The file of this name, made anew if it is older than its sources.
fn built(name: &str, newest: SystemTime, how: impl FnOnce(&Path) -> Command) -> PathBuf {
    static DRAFTS: AtomicU32 = AtomicU32::new(0);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(name);
    if fs::metadata(&file).and_then(|file| file.modified()).is_ok_and(|built| built >= newest) {
        return file;
    }
    let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
    let draft = folder.join(format!("{}-{number}", std::process::id()));
    fs::create_dir_all(&draft).unwrap();
    let output = how(&draft).output().expect("the fake driver needs a C compiler, `cc`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Others may make the same at the same time: the last one stays.
    fs::rename(draft.join("out"), &file).unwrap();
    fs::remove_dir_all(draft).unwrap();
    file
}
