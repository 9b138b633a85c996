//! The threads on which passwords are hashed.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use super::{Hasher, Password, PasswordError};

/// How much less than others a hashing thread is scheduled, where the system lets us: a storm of logins must not delay
/// validations.
const NICE: i32 = 10;

enum Task {
    Hash { password: Password, reply: oneshot::Sender<Result<String, PasswordError>> },
    Verify { password: Password, stored: String, reply: oneshot::Sender<Result<bool, PasswordError>> },
    DummyVerify { password: Password, reply: oneshot::Sender<Result<(), PasswordError>> },
}

impl Task {
    fn run(self, hasher: &Hasher) {
        // Whoever asked may be gone: before the work, which then is not done, or during it.
        match self {
            Self::Hash { password, reply } if !reply.is_closed() => {
                let _ = reply.send(hasher.hash(&password));
            }
            Self::Verify { password, stored, reply } if !reply.is_closed() => {
                let _ = reply.send(hasher.verify(&password, &stored));
            }
            Self::DummyVerify { password, reply } if !reply.is_closed() => {
                let _ = reply.send(hasher.dummy_verify(&password));
            }
            _ => {}
        }
    }
}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<Task>,
    closed: bool,
}

struct Shared {
    hasher: Hasher,
    queue: Mutex<Queue>,
    changed: Condvar,
    capacity: usize,
    /// How many passwords were compared, with a stored hash or that of nobody.
    #[cfg(test)]
    compared: AtomicU64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it holds the lock, and no half-done state could be seen if it did.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        loop {
            let mut queue = self.lock();
            while queue.tasks.is_empty() && !queue.closed {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            let Some(task) = queue.tasks.pop_front() else { return };
            drop(queue);
            #[cfg(test)]
            if !matches!(task, Task::Hash { .. }) {
                self.compared.fetch_add(1, Ordering::SeqCst);
            }
            // A bug in a hash function costs one answer, not the thread.
            let _ = catch_unwind(AssertUnwindSafe(|| task.run(&self.hasher)));
        }
    }
}

/// A [`Hasher`] on a bounded number of threads of its own, with a bounded queue before it. Dropping it waits for what is
/// being hashed and forgets what waits.
pub struct HashPool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl HashPool {
    /// Starts the threads: one for each core if `threads` is `None`. `capacity` is how many passwords may wait.
    pub fn start(hasher: Hasher, threads: Option<NonZeroUsize>, capacity: usize) -> std::io::Result<Self> {
        let count = threads.map_or_else(thread::available_parallelism, Ok)?;
        let shared = Arc::new(Shared {
            hasher,
            queue: Mutex::default(),
            changed: Condvar::new(),
            capacity,
            #[cfg(test)]
            compared: AtomicU64::new(0),
        });
        let mut pool = Self { shared: Arc::clone(&shared), threads: Vec::with_capacity(count.get()) };
        for number in 0..count.get() {
            let shared = Arc::clone(&shared);
            let thread = thread::Builder::new().name(format!("hash-{number}")).spawn(move || {
                // Only a wish: without it, hashing works at the same priority as the rest.
                let _ = rustix::process::setpriority_process(None, NICE);
                shared.work();
            })?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Hashes a new password.
    pub async fn hash(&self, password: Password) -> Result<String, PasswordError> {
        self.ask(|reply| Task::Hash { password, reply }).await
    }

    /// Whether this is the password of a stored hash.
    pub async fn verify(&self, password: Password, stored: String) -> Result<bool, PasswordError> {
        self.ask(|reply| Task::Verify { password, stored, reply }).await
    }

    /// Takes as long as [`verify`](Self::verify), for users who don't exist or have no password.
    pub async fn dummy_verify(&self, password: Password) -> Result<(), PasswordError> {
        self.ask(|reply| Task::DummyVerify { password, reply }).await
    }

    /// How many passwords were compared so far.
    #[cfg(test)]
    pub(crate) fn compared(&self) -> u64 {
        self.shared.compared.load(Ordering::SeqCst)
    }

    async fn ask<T>(
        &self,
        task: impl FnOnce(oneshot::Sender<Result<T, PasswordError>>) -> Task,
    ) -> Result<T, PasswordError> {
        let (reply, answer) = oneshot::channel();
        {
            let mut queue = self.shared.lock();
            if queue.tasks.len() >= self.shared.capacity {
                return Err(PasswordError::Busy);
            }
            queue.tasks.push_back(task(reply));
        }
        self.shared.changed.notify_one();
        // The sender is dropped without an answer only if its task panicked.
        answer.await.unwrap_or(Err(PasswordError::Failed))
    }
}

impl Drop for HashPool {
    fn drop(&mut self) {
        {
            let mut queue = self.shared.lock();
            queue.closed = true;
            queue.tasks.clear();
        }
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            // Panics are caught and were reported where they happened.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for HashPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HashPool").field("threads", &self.threads.len()).finish_non_exhaustive()
    }
}
