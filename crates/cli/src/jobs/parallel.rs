//! Independent runs on all cores, with the same results as one after another.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle};

/// Runs every task; results stand in the order of the tasks, whoever ended first. After a failure
/// no further task is begun.
///
/// # Errors
/// That of the first task that failed, in the order of the tasks: those before it had begun.
pub(super) fn in_parallel<T: Sync, R: Send, E: Send>(
    tasks: &[T],
    run: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        let mut done = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = tasks.get(index) else { break };
            let result = run(task);
            if result.is_err() {
                failed.store(true, Ordering::Relaxed);
            }
            done.push((index, result));
        }
        done
    };
    let workers = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(tasks.len());
    let mut done: Vec<(usize, Result<R, E>)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(ScopedJoinHandle::join);
        joined.flat_map(|done| done.unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_the_order_of_the_tasks() {
        let tasks: Vec<u64> = (0..200).collect();
        let slow_first = |task: &u64| {
            thread::sleep(std::time::Duration::from_micros(if *task == 0 { 5_000 } else { 1 }));
            Ok::<u64, ()>(task * task)
        };
        let squares: Vec<u64> = tasks.iter().map(|task| task * task).collect();
        assert_eq!(in_parallel(&tasks, slow_first), Ok(squares));
        assert_eq!(in_parallel(&[], slow_first), Ok(Vec::new()));
    }

    #[test]
    fn the_first_failure_in_order_is_the_one_told() {
        let tasks: Vec<u64> = (0..200).collect();
        for _ in 0..20 {
            let fails = |task: &u64| if *task >= 7 { Err(*task) } else { Ok(()) };
            assert_eq!(in_parallel(&tasks, fails), Err(7));
        }
    }
}
