//! Columns over the arrays that a desk has filled: nothing is copied until somebody asks for it.
//!
//! A column is one field of every row of an array of structures, so its elements lie a row apart.
//! It holds the array, and whoever fills arrays ([`crate::batcher`]) takes a new one as long as
//! anybody holds the old: what a column shows never changes. This is the one file of this crate
//! with `unsafe` code; each block says what it relies on.
#![allow(unsafe_code)]

use std::any::Any;
use std::ffi::{CStr, c_int};
use std::fmt;
use std::ptr;
use std::sync::Arc;

use pyo3::exceptions::{PyBufferError, PyIndexError};
use pyo3::prelude::*;
use pyo3::types::slice::PySliceIndices;
use pyo3::types::{PyIterator, PyList, PySlice};
use pyo3::{IntoPyObjectExt, ffi};
use rampmeter::batch::RequestId;
use rampmeter::batch::continuous::Phase;
use rampmeter::{Nanos, Tokens};

/// What the elements of a column are, as the `struct` module of Python names them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    U8,
    U32,
    U64,
    Bool,
}

impl Kind {
    const fn size(self) -> usize {
        match self {
            Self::U8 | Self::Bool => 1,
            Self::U32 => 4,
            Self::U64 => 8,
        }
    }

    const fn format(self) -> &'static CStr {
        match self {
            Self::U8 => c"B",
            Self::U32 => c"I",
            Self::U64 => c"Q",
            Self::Bool => c"?",
        }
    }
}

/// A type that may stand in a column.
///
/// # Safety
/// It has the size and alignment of `KIND`, no padding, and its bits are a value of that kind.
pub(crate) unsafe trait Element: Copy {
    const KIND: Kind;
}

/// Declares it, and has the compiler check the size.
macro_rules! element {
    ($type:ty, $kind:ident) => {
        // SAFETY: a number, a truth value, or a type whose layout is declared to be that of one.
        unsafe impl Element for $type {
            const KIND: Kind = Kind::$kind;
        }
        const _: () = assert!(size_of::<$type>() == Kind::$kind.size());
        const _: () = assert!(align_of::<$type>() == Kind::$kind.size());
    };
}
element!(bool, Bool);
element!(u32, U32);
element!(u64, U64);
element!(Tokens, U32);
element!(Nanos, U64);
element!(RequestId, U64);
element!(Phase, U8);

/// One field of every row of an array, read where it lies.
///
/// It is a read-only buffer, so that `memoryview(column)` and `numpy.asarray(column)` copy nothing,
/// and it is a sequence, for those who need neither. It stays as it is for as long as it is held.
///
/// >>> from rampmeter.batch import Batcher, Engine
/// >>> from rampmeter import Policy
/// >>> batcher = Batcher(Policy(), Engine.named("llama-3.1-8b"))
/// >>> account = batcher.open_account()
/// >>> _ = batcher.submit(0, account=account, prompt_tokens=100, output_tokens_max=8, tag=7)
/// >>> plan = batcher.form(0)
/// >>> plan.tag.tolist(), plan.tokens[0], memoryview(plan.emits).tolist()
/// ([7], 100, [True])
#[pyclass(frozen, sequence, module = "rampmeter.batch")]
pub(crate) struct Column {
    /// What keeps the rows where they are, and as they are.
    #[expect(dead_code, reason = "it is held, so that it stays")]
    owner: Arc<dyn Any + Send + Sync>,
    /// The field of the first row.
    first: *const u8,
    /// Elements. Views point here and to the next field.
    shape: isize,
    /// Bytes from one element to the next.
    stride: isize,
    kind: Kind,
}

// SAFETY: what `first` points to is never written while `owner` is held, and `owner` may be shared.
unsafe impl Send for Column {}
// SAFETY: as above.
unsafe impl Sync for Column {}

impl fmt::Debug for Column {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Column")
            .field("kind", &self.kind)
            .field("len", &self.shape)
            .finish_non_exhaustive()
    }
}

impl Column {
    /// The field `field` of the first `len` of the `rows` that `owner` keeps.
    pub(crate) fn new<O, R, T>(
        owner: &Arc<O>,
        rows: fn(&O) -> &[R],
        field: fn(&R) -> &T,
        len: usize,
    ) -> Self
    where
        O: Send + Sync + 'static,
        R: 'static,
        T: Element + 'static,
    {
        let held = rows(owner);
        let len = len.min(held.len());
        let row = ptr::from_ref(&held[..len]).cast::<R>().cast::<u8>();
        let inside = held.first().map(|first| {
            ptr::from_ref(field(first)).addr().wrapping_sub(ptr::from_ref(first).addr())
        });
        let offset = inside.filter(|at| at.saturating_add(size_of::<T>()) <= size_of::<R>());
        let (offset, len) = offset.map_or((0, 0), |at| (at, len));
        Self {
            owner: Arc::<O>::clone(owner),
            // Derived from all rows, so that it may go from one to the next.
            first: row.wrapping_add(offset),
            shape: len.cast_signed(),
            stride: size_of::<R>().cast_signed(),
            kind: T::KIND,
        }
    }

    fn len(&self) -> usize {
        self.shape.cast_unsigned()
    }

    /// The element, as an integer.
    fn value(&self, index: usize) -> u64 {
        assert!(index < self.len(), "checked by the caller");
        let at = self.first.wrapping_offset(index.cast_signed() * self.stride);
        #[expect(clippy::cast_ptr_alignment, reason = "that of the kind: see `Element`")]
        // SAFETY: below `len` the field lies inside a row of the slice that `owner` keeps, it has
        // the size and alignment of its kind (`Element`), and nobody writes to it meanwhile.
        unsafe {
            match self.kind {
                Kind::U8 | Kind::Bool => u64::from(at.read()),
                Kind::U32 => u64::from(at.cast::<u32>().read()),
                Kind::U64 => at.cast::<u64>().read(),
            }
        }
    }

    fn item<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyAny>> {
        let value = self.value(index);
        match self.kind {
            Kind::Bool => (value != 0).into_bound_py_any(py),
            _ => value.into_bound_py_any(py),
        }
    }
}

/// The place of an element, or a part of the column.
#[derive(FromPyObject)]
enum Place<'py> {
    Index(isize),
    Part(Bound<'py, PySlice>),
}

#[pymethods]
impl Column {
    fn __len__(&self) -> usize {
        self.len()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, place: Place<'py>) -> PyResult<Bound<'py, PyAny>> {
        let index = match place {
            Place::Index(index) => index,
            Place::Part(part) => {
                let PySliceIndices { start, step, slicelength, .. } = part.indices(self.shape)?;
                let part =
                    (0..slicelength.cast_signed()).map(|at| (start + at * step).cast_unsigned());
                let items = part.map(|at| self.item(py, at)).collect::<PyResult<Vec<_>>>()?;
                return Ok(PyList::new(py, items)?.into_any());
            }
        };
        let from_front = if index < 0 { index.saturating_add(self.shape) } else { index };
        match usize::try_from(from_front) {
            Ok(at) if at < self.len() => self.item(py, at),
            _ => Err(PyIndexError::new_err("column index out of range")),
        }
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.tolist(py)?.as_any().try_iter()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Column({})", self.tolist(py)?.repr()?))
    }

    /// The elements as a list.
    fn tolist<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let items = (0..self.len()).map(|at| self.value(at));
        match self.kind {
            Kind::Bool => PyList::new(py, items.map(|value| value != 0)),
            _ => PyList::new(py, items),
        }
    }

    /// # Safety
    /// `view` is what the buffer protocol hands in.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let column = slf.get();
        if view.is_null() {
            return Err(PyBufferError::new_err("no view to fill"));
        }
        // SAFETY: not null, and the promise of the protocol. A refused view has no object.
        unsafe { (*view).obj = ptr::null_mut() };
        if flags & ffi::PyBUF_WRITABLE == ffi::PyBUF_WRITABLE {
            return Err(PyBufferError::new_err("a column is read-only"));
        }
        let size = column.kind.size().cast_signed();
        let dense = column.shape <= 1 || column.stride == size;
        let contiguous =
            (ffi::PyBUF_C_CONTIGUOUS | ffi::PyBUF_F_CONTIGUOUS | ffi::PyBUF_ANY_CONTIGUOUS)
                & !ffi::PyBUF_STRIDES;
        let strided = flags & ffi::PyBUF_STRIDES == ffi::PyBUF_STRIDES;
        if !dense && (!strided || flags & contiguous != 0) {
            return Err(PyBufferError::new_err("a column is not contiguous"));
        }
        let asked = |flag: c_int| flags & flag == flag;
        // SAFETY: `shape` and `stride` lie in the Python object, which does not move and which the
        // view holds; so does the array, through `owner`. Readers do not write through them.
        unsafe {
            (*view).buf = column.first.cast_mut().cast();
            (*view).len = column.shape * size;
            (*view).itemsize = size;
            (*view).readonly = 1;
            (*view).ndim = 1;
            (*view).format = if asked(ffi::PyBUF_FORMAT) {
                column.kind.format().as_ptr().cast_mut()
            } else {
                ptr::null_mut()
            };
            (*view).shape = if asked(ffi::PyBUF_ND) {
                (&raw const column.shape).cast_mut()
            } else {
                ptr::null_mut()
            };
            (*view).strides =
                if strided { (&raw const column.stride).cast_mut() } else { ptr::null_mut() };
            (*view).suboffsets = ptr::null_mut();
            (*view).internal = ptr::null_mut();
            (*view).obj = slf.into_ptr();
        }
        Ok(())
    }
}
