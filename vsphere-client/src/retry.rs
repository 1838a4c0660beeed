//! Retry policy and backoff.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

/// When a request that failed below the API is retried.
///
/// A request is retried only if it cannot have been carried out, or only reads;
/// see [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// The maximum number of attempts; 1 means no retry. Default: as many
    /// as fit into the budget, which covers a restart of the server.
    pub attempts: u32,
    /// The time after which there are no more retries. Default 30 s.
    pub budget: Duration,
    /// The pause before the second attempt; it doubles with each. Default 200 ms.
    pub pause: Duration,
    /// The longest pause. Default 5 s.
    pub longest_pause: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: u32::MAX,
            budget: Duration::from_secs(30),
            pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(5),
        }
    }
}

impl RetryPolicy {
    /// Returns a policy without retries.
    #[must_use]
    pub fn never() -> Self {
        Self {
            attempts: 1,
            ..Self::default()
        }
    }
}

/// The attempts of one call.
#[derive(Debug)]
pub(crate) struct Backoff {
    policy: RetryPolicy,
    deadline: Instant,
    made: u32,
}

impl Backoff {
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            deadline: Instant::now() + policy.budget,
            made: 1,
        }
    }

    /// Returns the number of the current attempt, from 1.
    pub(crate) const fn number(&self) -> u32 {
        self.made
    }

    /// Pauses before the next attempt; returns `false` when there is none.
    pub(crate) async fn again(&mut self) -> bool {
        self.again_after(Duration::ZERO).await
    }

    /// Like [`again`](Self::again), but pauses at least this long, within the budget.
    pub(crate) async fn again_after(&mut self, least: Duration) -> bool {
        if self.made >= self.policy.attempts {
            return false;
        }
        let doubled = self
            .policy
            .pause
            .saturating_mul(1 << (self.made - 1).min(16));
        let pause = doubled
            .min(self.policy.longest_pause)
            .mul_f64(0.5 + 0.5 * fraction())
            .max(least);
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        // The last attempt is at the end of the budget.
        tokio::time::sleep(pause.min(left)).await;
        self.made += 1;
        true
    }
}

/// Returns a number from 0 to 1 that differs between clients, so that they do not retry in step.
fn fraction() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    (random >> 11) as f64 / (1u64 << 53) as f64
}

/// Returns a short name that is unlikely to be used by another client.
pub(crate) fn random_name() -> String {
    let random = RandomState::new().build_hasher().finish();
    format!("{:08x}", random as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn attempts_end_by_number() {
        let policy = RetryPolicy {
            attempts: 5,
            ..RetryPolicy::default()
        };
        let mut attempts = Backoff::new(policy);
        let mut made = 1;
        while attempts.again().await {
            made += 1;
        }
        assert_eq!((made, attempts.number()), (5, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_end_by_time() {
        let start = Instant::now();
        let mut attempts = Backoff::new(RetryPolicy::default());
        while attempts.again().await {}
        // All of the budget is used, for a handful of attempts.
        assert!(start.elapsed() >= Duration::from_secs(30));
        assert!(start.elapsed() <= Duration::from_secs(31));
        assert!(
            (6..20).contains(&attempts.number()),
            "{}",
            attempts.number()
        );
    }
}
