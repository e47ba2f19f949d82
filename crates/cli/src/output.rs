//! Files that appear whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rampmeter_sim::InputError;
use tempfile::NamedTempFile;

/// A file that is going to be written. It is opened before the long run begins, so that a wrong
/// path is found at once, and takes its name only when all of it is there.
#[derive(Debug)]
pub(crate) struct Output {
    path: PathBuf,
    draft: Draft,
}

#[derive(Debug)]
enum Draft {
    /// Beside the target; renamed over it.
    Beside(NamedTempFile, PathBuf),
    /// The target is a device or a pipe, and must stay one.
    Direct(File),
}

impl Output {
    /// Opens what will become `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, InputError> {
        let wrong = |error: io::Error| unwritable(path, &error);
        let draft = match fs::metadata(path) {
            Ok(found) if found.is_dir() => {
                return Err(InputError::new(path, "cannot be written: it is a folder"));
            }
            Ok(found) if !found.is_file() => {
                Draft::Direct(OpenOptions::new().write(true).open(path).map_err(wrong)?)
            }
            Ok(_) => {
                // Renaming would succeed on a file that its owner made read-only.
                OpenOptions::new().append(true).open(path).map_err(wrong)?;
                let target = fs::canonicalize(path).map_err(wrong)?;
                Draft::Beside(draft_beside(&target).map_err(wrong)?, target)
            }
            Err(_) => Draft::Beside(draft_beside(path).map_err(wrong)?, path.to_path_buf()),
        };
        Ok(Self { path: path.to_path_buf(), draft })
    }

    /// Writes all of it, still without its name: a disk that is full is found while nothing
    /// else has been given its name either.
    pub(crate) fn fill(mut self, bytes: &[u8]) -> Result<Filled, InputError> {
        let written = match &mut self.draft {
            Draft::Direct(file) => file.write_all(bytes),
            Draft::Beside(draft, _) => draft.write_all(bytes),
        };
        match written {
            Ok(()) => Ok(Filled(self)),
            Err(error) => Err(unwritable(&self.path, &error)),
        }
    }
}

/// A file that is written and has no name yet.
#[derive(Debug)]
pub(crate) struct Filled(Output);

impl Filled {
    /// Gives it its name.
    pub(crate) fn publish(self) -> Result<(), InputError> {
        let Output { path, draft } = self.0;
        match draft {
            Draft::Direct(_) => Ok(()),
            Draft::Beside(draft, target) => match draft.persist(target) {
                Ok(_) => Ok(()),
                Err(failed) => Err(unwritable(&path, &failed.error)),
            },
        }
    }
}

fn unwritable(path: &Path, error: &io::Error) -> InputError {
    InputError::new(path, format!("cannot be written: {}", reason(error)))
}

/// Whether two paths lead to the same file, as far as can be told before it exists.
pub(crate) fn same(a: &Path, b: &Path) -> bool {
    let place = |path: &Path| {
        let folder = fs::canonicalize(folder_of(path)).ok()?;
        Some(folder.join(path.file_name()?))
    };
    a == b || place(a).is_some_and(|place_a| Some(place_a) == place(b))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn draft_beside(target: &Path) -> io::Result<NamedTempFile> {
    if target.file_name().is_none() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it names no file"));
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".rampmeter-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // As any new file: the umask decides. A draft is private by default, a report is not.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder_of(target))
}

/// The system's reason without the path that tempfile repeats.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" at path ").next().unwrap_or(&text).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_there_until_all_of_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        let names = || fs::read_dir(folder.path()).unwrap().count();
        let output = Output::open(&path).unwrap();
        assert!(!path.exists());
        drop(output);
        assert_eq!(names(), 0, "a run that fails leaves nothing behind");
        Output::open(&path).unwrap().fill(b"one").unwrap().publish().unwrap();
        Output::open(&path).unwrap().fill(b"two").unwrap().publish().unwrap();
        assert_eq!((fs::read(&path).unwrap(), names()), (b"two".to_vec(), 1));
    }

    #[cfg(unix)]
    #[test]
    fn links_and_devices_stay_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        Output::open(&link).unwrap().fill(b"new").unwrap().publish().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        Output::open(Path::new("/dev/null")).unwrap().fill(b"gone").unwrap().publish().unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn what_cannot_be_written_is_found_at_once() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_path_buf(), folder.path().join("no/such/folder.html")] {
            let error = Output::open(&path).unwrap_err().to_string();
            assert!(error.contains("cannot be written"), "{error}");
            assert_eq!(error.lines().count(), 1);
        }
    }

    #[test]
    fn one_file_by_two_names_is_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        assert!(same(&path, &folder.path().join("./x")));
        assert!(!same(&path, &folder.path().join("y")));
    }
}
