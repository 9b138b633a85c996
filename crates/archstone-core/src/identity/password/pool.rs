//! The threads on which passwords are hashed.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::verified::{Digest, Known, Verified};
use super::{Hasher, Password, PasswordError};

/// A storm of logins must not delay validations: where both want the cores, a tenth is for hashing. (With 19, the least,
/// a machine that other programs keep busy lets nobody log in: 0.1 % of a core, minutes for a hash.)
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// What comparing a password with a stored hash told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compared {
    /// It is not the one.
    Wrong,
    /// It is, as a hash has just shown.
    Right,
    /// It is, as a hash showed a moment ago: the answer came at once.
    ///
    /// **Invariant:** whoever refuses a login all the same lets it cost a hash, with
    /// [`dummy_verify`](HashPool::dummy_verify): the time must not tell that the password was right.
    RightAMomentAgo,
}

impl Compared {
    /// Whether it is the one.
    pub fn is_right(self) -> bool {
        self != Compared::Wrong
    }
}

enum Task {
    Hash {
        password: Password,
        reply: oneshot::Sender<Result<String, PasswordError>>,
    },
    Compare {
        password: Password,
        stored: String,
        digest: Option<Digest>,
        reply: oneshot::Sender<Result<Compared, PasswordError>>,
    },
    DummyVerify {
        password: Password,
        reply: oneshot::Sender<Result<(), PasswordError>>,
    },
    /// Nobody waits for it.
    Renew {
        password: Password,
        stored: String,
        digest: Digest,
    },
}

impl Task {
    fn run(self, shared: &Shared) {
        // Whoever asked may be gone: before the work, which then is not done, or during it.
        match self {
            Self::Hash { password, reply } if !reply.is_closed() => {
                let _ = reply.send(shared.hasher.hash(&password));
            }
            Self::Compare { password, stored, digest, reply } if !reply.is_closed() => {
                // Another login with it may have been before this one in the queue.
                let known = digest.map_or(Known::No, |digest| shared.verified.look_up(digest, Instant::now()));
                let compared = match known {
                    Known::No => shared.compare(&password, &stored, digest),
                    Known::Verified | Known::Fading => Ok(Compared::RightAMomentAgo),
                };
                let _ = reply.send(compared);
            }
            Self::DummyVerify { password, reply } if !reply.is_closed() => {
                #[cfg(test)]
                shared.compared.fetch_add(1, Ordering::SeqCst);
                let _ = reply.send(shared.hasher.dummy_verify(&password));
            }
            Self::Renew { password, stored, digest } => {
                // If it is wrong by now, what is remembered of it ends by itself.
                let _ = shared.compare(&password, &stored, Some(digest));
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
    verified: Verified,
    queue: Mutex<Queue>,
    changed: Condvar,
    capacity: usize,
    /// How many passwords were compared by hashing them.
    #[cfg(test)]
    compared: AtomicU64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it holds the lock, and no half-done state could be seen if it did.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hashes, and remembers what is right.
    fn compare(&self, password: &Password, stored: &str, digest: Option<Digest>) -> Result<Compared, PasswordError> {
        #[cfg(test)]
        self.compared.fetch_add(1, Ordering::SeqCst);
        if !self.hasher.verify(password, stored)? {
            return Ok(Compared::Wrong);
        }
        if let Some(digest) = digest {
            self.verified.insert(digest, Instant::now());
        }
        Ok(Compared::Right)
    }

    fn work(&self) {
        loop {
            let mut queue = self.lock();
            while queue.tasks.is_empty() && !queue.closed {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            let Some(task) = queue.tasks.pop_front() else { return };
            drop(queue);
            // A bug in a hash function costs one answer, not the thread.
            let _ = catch_unwind(AssertUnwindSafe(|| task.run(self)));
        }
    }
}

/// A [`Hasher`] on a bounded number of threads of its own, with a bounded queue before it. Dropping it waits for what is
/// being hashed and forgets what waits.
pub struct HashPool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// The size of a [`HashPool`] and what it remembers.
#[derive(Clone, Copy, Debug)]
pub struct PoolOptions {
    /// How many threads hash; one for each core if `None`.
    pub threads: Option<NonZeroUsize>,
    /// How many passwords may wait for a thread; [`WAITING_PER_THREAD`] for each if `None`.
    pub waiting: Option<usize>,
    /// How long a password that was right need not be hashed again; zero: it always is.
    pub remember_verified_for: Duration,
}

/// At Keystone's twelve rounds of bcrypt the last in the queue waits for some 16 seconds: beyond that, most clients have
/// given up.
pub const WAITING_PER_THREAD: usize = 64;

impl HashPool {
    /// Starts the threads.
    ///
    /// # Errors
    /// No threads to be had, or no random numbers.
    pub fn start(hasher: Hasher, options: PoolOptions) -> std::io::Result<Self> {
        let count = options.threads.map_or_else(thread::available_parallelism, Ok)?;
        let shared = Arc::new(Shared {
            hasher,
            verified: Verified::new(options.remember_verified_for).map_err(std::io::Error::other)?,
            queue: Mutex::default(),
            changed: Condvar::new(),
            capacity: options.waiting.unwrap_or_else(|| WAITING_PER_THREAD.saturating_mul(count.get())),
            #[cfg(test)]
            compared: AtomicU64::new(0),
        });
        let mut pool = Self { shared: Arc::clone(&shared), threads: Vec::with_capacity(count.get()) };
        for number in 0..count.get() {
            let shared = Arc::clone(&shared);
            let thread = thread::Builder::new().name(format!("hash-{number}")).spawn(move || {
                // Linux takes it for this thread alone. Only a wish: without it, hashing has the priority of the rest.
                #[cfg(target_os = "linux")]
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
    pub async fn compare(&self, password: Password, stored: String) -> Result<Compared, PasswordError> {
        let Some(digest) = self.shared.verified.digest(&password, &stored) else {
            return self.ask(|reply| Task::Compare { password, stored, digest: None, reply }).await;
        };
        match self.shared.verified.look_up(digest, Instant::now()) {
            Known::No => self.ask(|reply| Task::Compare { password, stored, digest: Some(digest), reply }).await,
            Known::Verified => Ok(Compared::RightAMomentAgo),
            Known::Fading => {
                // If the queue is full, it is hashed when it has faded.
                let _ = self.enqueue(Task::Renew { password, stored, digest });
                Ok(Compared::RightAMomentAgo)
            }
        }
    }

    /// Takes as long as a wrong password in [`compare`](Self::compare), for users who don't exist or have no password.
    pub async fn dummy_verify(&self, password: Password) -> Result<(), PasswordError> {
        self.ask(|reply| Task::DummyVerify { password, reply }).await
    }

    /// Wipes what is no longer remembered.
    pub(crate) fn forget_old(&self) {
        self.shared.verified.forget_old(Instant::now());
    }

    /// How many passwords were compared so far by hashing them, with a stored hash or that of nobody.
    #[cfg(test)]
    pub(crate) fn compared(&self) -> u64 {
        self.shared.compared.load(Ordering::SeqCst)
    }

    async fn ask<T>(
        &self,
        task: impl FnOnce(oneshot::Sender<Result<T, PasswordError>>) -> Task,
    ) -> Result<T, PasswordError> {
        let (reply, answer) = oneshot::channel();
        self.enqueue(task(reply))?;
        // The sender is dropped without an answer only if its task panicked.
        answer.await.unwrap_or(Err(PasswordError::Failed))
    }

    fn enqueue(&self, task: Task) -> Result<(), PasswordError> {
        {
            let mut queue = self.shared.lock();
            if queue.tasks.len() >= self.shared.capacity {
                return Err(PasswordError::Busy);
            }
            queue.tasks.push_back(task);
        }
        self.shared.changed.notify_one();
        Ok(())
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
