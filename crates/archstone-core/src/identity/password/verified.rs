//! Passwords that were verified a moment ago, so that a service that logs in again and again need not have the same one
//! hashed each time.
//!
//! What is kept is an HMAC of the stored hash and the password, under a key that this process made at its start and tells
//! nobody: in memory only, for seconds, for a bounded number of passwords. It tells nothing without the key, nothing about
//! which user it is of, and whoever has the key reads the memory in which passwords arrive.
//!
//! **Invariant:** only what a real comparison has found to be right is kept. A wrong password is never found here.
//!
//! **Invariant:** the stored hash is part of it: a password is found for as long as its user still has that hash, which
//! whoever asks reads from the database, or from memory that a change of it would have emptied.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use zeroize::Zeroize as _;

use super::{Password, PasswordError};

/// Digests are kept in sets of so many, by their first bytes.
const WAYS: usize = 4;
/// 16,384 passwords in all.
const SETS: usize = 4096;

/// The digest of a password and the hash that it was compared with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest([u8; 32]);

/// What is known of a password.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Known {
    /// Nothing: it has to be hashed.
    No,
    /// That it was right a moment ago.
    Verified,
    /// The same, but not for much longer: whoever is told so, and only the first one is, has it hashed once more beside
    /// the login, so that those who come later need not all hash at once.
    Fading,
}

pub(super) struct Verified {
    key: hmac::Key,
    remembered_for: Duration,
    /// Overwritten in place, so that no copies of old digests stay behind.
    slots: Mutex<Box<[Slot]>>,
}

#[derive(Clone, Copy)]
struct Slot {
    digest: [u8; 32],
    /// `None`: empty.
    until: Option<Instant>,
    renewing: bool,
}

const EMPTY: Slot = Slot { digest: [0; 32], until: None, renewing: false };

impl Slot {
    fn holds(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    fn wipe(&mut self) {
        self.digest.zeroize();
        *self = EMPTY;
    }
}

impl Verified {
    /// Nothing yet; with a duration of zero there never is.
    pub(super) fn new(remembered_for: Duration) -> Result<Verified, PasswordError> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map_err(|_| PasswordError::Failed)?;
        let sets = if remembered_for.is_zero() { 0 } else { SETS };
        Ok(Verified { key, remembered_for, slots: Mutex::new(vec![EMPTY; sets * WAYS].into()) })
    }

    /// `None` if nothing is remembered.
    pub(super) fn digest(&self, password: &Password, stored: &str) -> Option<Digest> {
        if self.remembered_for.is_zero() {
            return None;
        }
        let mut context = hmac::Context::with_key(&self.key);
        // With its length, so that no other pair of texts is the same one.
        context.update(&(stored.len() as u64).to_be_bytes());
        context.update(stored.as_bytes());
        context.update(password.expose().as_bytes());
        let mut digest = Digest([0; 32]);
        digest.0.copy_from_slice(context.sign().as_ref());
        Some(digest)
    }

    pub(super) fn look_up(&self, digest: Digest, now: Instant) -> Known {
        let mut slots = self.lock();
        let set = set_of(&mut slots, digest);
        let Some(slot) = set.iter_mut().find(|slot| slot.until.is_some() && slot.digest == digest.0) else {
            return Known::No;
        };
        let Some(until) = slot.until.filter(|until| now < *until) else {
            slot.wipe();
            return Known::No;
        };
        if slot.renewing || until.duration_since(now) > self.remembered_for / 4 {
            return Known::Verified;
        }
        slot.renewing = true;
        Known::Fading
    }

    /// Remembers a password that a comparison has just found to be right; in the place of the oldest of its set, if need be.
    pub(super) fn insert(&self, digest: Digest, now: Instant) {
        let mut slots = self.lock();
        let set = set_of(&mut slots, digest);
        let place = match set.iter().position(|slot| slot.until.is_some() && slot.digest == digest.0) {
            Some(same) => set.get_mut(same),
            // An empty one is older than any.
            None => set.iter_mut().min_by_key(|slot| slot.until),
        };
        if let Some(slot) = place {
            *slot = Slot { digest: digest.0, until: Some(now + self.remembered_for), renewing: false };
        }
    }

    /// Wipes what is over.
    pub(super) fn forget_old(&self, now: Instant) {
        for slot in self.lock().iter_mut().filter(|slot| slot.until.is_some() && !slot.holds(now)) {
            slot.wipe();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Box<[Slot]>> {
        // Nothing panics while it holds the lock.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Verified {
    fn drop(&mut self) {
        self.lock().iter_mut().for_each(Slot::wipe);
    }
}

fn set_of(slots: &mut [Slot], digest: Digest) -> &mut [Slot] {
    let number = usize::from(u16::from_be_bytes([digest.0[0], digest.0[1]])) % SETS;
    slots.get_mut(number * WAYS..(number + 1) * WAYS).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn verified() -> Verified {
        Verified::new(MINUTE).unwrap()
    }

    fn digest(verified: &Verified, password: &str, stored: &str) -> Digest {
        verified.digest(&password.into(), stored).unwrap()
    }

    #[test]
    fn only_this_password_with_this_hash_is_known() {
        let (verified, now) = (verified(), Instant::now());
        let right = digest(&verified, "pw", "$2b$hash");
        assert_eq!(verified.look_up(right, now), Known::No);
        verified.insert(right, now);
        assert_eq!(verified.look_up(right, now), Known::Verified);
        for (password, stored) in [("pW", "$2b$hash"), ("pw", "$2b$other"), ("hpw", "$2b$has"), ("w", "$2b$hashp")] {
            assert_eq!(verified.look_up(digest(&verified, password, stored), now), Known::No, "{password} {stored}");
        }
    }

    #[test]
    fn it_is_forgotten_in_time_and_one_is_told_before() {
        let (verified, start) = (verified(), Instant::now());
        let right = digest(&verified, "pw", "hash");
        verified.insert(right, start);
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(verified.look_up(right, after(44)), Known::Verified);
        assert_eq!(verified.look_up(right, after(46)), Known::Fading);
        assert_eq!(verified.look_up(right, after(46)), Known::Verified);
        assert_eq!(verified.look_up(right, after(60)), Known::No);
        assert_eq!(verified.look_up(right, after(46)), Known::No, "it was wiped");
        verified.insert(right, start);
        verified.forget_old(after(60));
        assert!(verified.lock().iter().all(|slot| slot.digest == [0; 32]));
    }

    #[test]
    fn its_number_is_bounded_and_the_oldest_goes() {
        let (verified, start) = (verified(), Instant::now());
        let digests: Vec<Digest> = (0..=u8::try_from(WAYS).unwrap()).map(|last| Digest([last; 32])).collect();
        for (seconds, digest) in (0..).zip(&digests) {
            // All of one set.
            let digest = Digest([[0; 2].as_slice(), &digest.0[2..]].concat().try_into().unwrap());
            verified.insert(digest, start + Duration::from_secs(seconds));
        }
        let kept = verified.lock().iter().filter(|slot| slot.until.is_some()).count();
        assert_eq!(kept, WAYS);
        assert_eq!(verified.look_up(Digest([0; 32]), start), Known::No);
    }

    #[test]
    fn nothing_is_remembered_where_that_is_switched_off() {
        assert!(Verified::new(Duration::ZERO).unwrap().digest(&"pw".into(), "hash").is_none());
    }

    #[test]
    fn each_process_has_a_key_of_its_own() {
        assert!(digest(&verified(), "pw", "hash") != digest(&verified(), "pw", "hash"));
    }
}
