//! Reading values out of JSON objects, each refused with its key and range.

use std::path::Path;

use serde_json::{Map, Value};

use crate::InputError;
use crate::input::shown;

/// An object in a file, or in one line of it.
pub(crate) struct Object<'p> {
    path: &'p Path,
    /// Where it stands in the file's outermost object: empty, or keys with a dot after each.
    place: String,
    keys: Map<String, Value>,
}

impl<'p> Object<'p> {
    /// The object that a text is. Errors name the line where the text has several.
    pub(crate) fn parse(path: &'p Path, text: &str) -> Result<Self, InputError> {
        match serde_json::from_str(text) {
            Ok(Value::Object(keys)) => Ok(Self { path, place: String::new(), keys }),
            Ok(_) => Err(InputError::new(path, "is not a JSON object")),
            Err(error) => {
                let problem = format!("is not JSON at column {}", error.column());
                Err(InputError::new(path, problem).at_line(error.line() as u64))
            }
        }
    }

    /// Whether a key is there and not null.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.keys.get(key).is_some_and(|value| !value.is_null())
    }

    /// An object inside this one.
    pub(crate) fn object(&self, key: &str) -> Result<Self, InputError> {
        match self.value(key)? {
            Value::Object(keys) => {
                let place = format!("{}{key}.", self.place);
                Ok(Self { path: self.path, place, keys: keys.clone() })
            }
            other => Err(self.wrong(key, other, "an object")),
        }
    }

    /// A text.
    pub(crate) fn text(&self, key: &str) -> Result<&str, InputError> {
        let value = self.value(key)?;
        value.as_str().ok_or_else(|| self.wrong(key, value, "a text"))
    }

    /// A whole number in `min..=max`.
    pub(crate) fn whole(&self, key: &str, min: u64, max: u64) -> Result<u64, InputError> {
        let value = self.value(key)?;
        let number = value.as_u64().filter(|number| (min..=max).contains(number));
        number.ok_or_else(|| self.wrong(key, value, &format!("a whole number in {min}..={max}")))
    }

    /// A whole number in `min..=max` that fits 32 bits.
    pub(crate) fn count(&self, key: &str, min: u32, max: u32) -> Result<u32, InputError> {
        // Inside the range it fits.
        self.whole(key, u64::from(min), u64::from(max)).map(|number| number as u32)
    }

    /// A number in `min..=max`.
    pub(crate) fn real(&self, key: &str, min: f64, max: f64) -> Result<f64, InputError> {
        let value = self.value(key)?;
        let number = value.as_f64().filter(|number| (min..=max).contains(number));
        number.ok_or_else(|| self.wrong(key, value, &format!("a number in {min}..={max}")))
    }

    /// The list under a key; `None` where the key is not there.
    pub(crate) fn list(&self, key: &str) -> Result<Option<&[Value]>, InputError> {
        match self.keys.get(key) {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list)),
            Some(other) => Err(self.wrong(key, other, "a list")),
        }
    }

    /// An error about a value under a key.
    pub(crate) fn wrong(&self, key: &str, value: &Value, what: &str) -> InputError {
        let problem = format!("`{}` is not {what}", shown(&value.to_string()));
        self.error(key, problem)
    }

    /// An error about a key.
    pub(crate) fn error(&self, key: &str, problem: String) -> InputError {
        InputError::new(self.path, problem).in_field(format!("{}{key}", self.place))
    }

    fn value(&self, key: &str) -> Result<&Value, InputError> {
        self.keys.get(key).ok_or_else(|| self.error(key, "there is no such key".to_owned()))
    }
}
