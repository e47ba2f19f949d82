//! A thread of a library takes no signals: a handler of the host must not run on it.
#![allow(unsafe_code, reason = "calls of the C library")]

/// Makes something while this thread takes no signals, which the threads that it starts inherit: so
/// that there is no moment at which a new one does. Afterwards this thread takes what it took before.
///
/// The four that a fault of a thread itself raises are left alone: POSIX does not define what
/// becomes of them where they are blocked, and a host that catches them wants to know.
#[cfg(unix)]
pub(super) fn without<T>(make: impl FnOnce() -> T) -> T {
    /// Gives the mask back, however this ends.
    struct Before(libc::sigset_t);

    impl Drop for Before {
        fn drop(&mut self) {
            // SAFETY: the set was filled by the call that blocked.
            unsafe {
                libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut())
            };
        }
    }

    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both live through the calls; `sigfillset` fills the one before it is read.
    let blocked = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        for fault in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL] {
            libc::sigdelset(all.as_mut_ptr(), fault);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr())
    };
    // It can fail only for a first argument that it does not know.
    // SAFETY: a call that succeeded has filled the set.
    let _before = (blocked == 0).then(|| Before(unsafe { before.assume_init() }));
    make()
}

/// There are no signals of this kind.
#[cfg(not(unix))]
pub(super) fn without<T>(make: impl FnOnce() -> T) -> T {
    make()
}
