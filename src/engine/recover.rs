//! Taking up what an earlier process left: after a crash, a power cut, or an ordinary exit.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::step::Track;
use super::{Engine, Live};
use crate::gateway::OrderKey;
use crate::journal::StoredOrder;
use crate::lock;
use crate::text::Text;

impl Engine {
    /// Asks the gateway about every order without a final state, and goes on watching those that
    /// ended without payment not long ago.
    pub(super) fn recover(self: &Arc<Self>) -> Result<(), Text> {
        let now = Instant::now();
        let now_ms = crate::clock::now_ms();
        let orders = self.journal.recover().wait()?;
        if !orders.is_empty() {
            tracing::info!(
                orders = orders.len(),
                "taking up orders of an earlier process"
            );
        }
        let mut codes = HashMap::new();
        for (code, trade_no) in self.journal.codes().wait()? {
            // No clock tells how old they are: they are alive from now on.
            lock(&self.codes)
                .accepted
                .push_back((now, trade_no.clone()));
            codes.insert(trade_no, code);
        }
        for stored in orders {
            let watched = stored.order.state.is_final();
            let age = stored.age(now_ms);
            let left = Duration::from_millis(
                u64::try_from(stored.watch_until_ms.unwrap_or(0) - now_ms).unwrap_or(0),
            );
            let live = Arc::new(live_from(stored, now_ms, now));
            let mut inner = live.lock();
            if let Some(code) = codes.remove(&live.key.trade_no).filter(|_| !watched) {
                lock(&self.codes)
                    .orders
                    .insert(code, live.key.trade_no.clone());
                inner.code = Some(code);
            }
            let step = if watched {
                inner.track.resume_watch(left, now)
            } else {
                inner.track.recover(age, &self.rules, now)
            };
            if let Some((at, task)) = step.next {
                self.plan(&live, &mut inner, at, task);
            }
            drop(inner);
            lock(&self.live).insert(live.key.trade_no.clone(), live);
        }
        Ok(())
    }
}

/// An order from the journal, at rest.
pub(super) fn live_from(stored: StoredOrder, now_ms: i64, now: Instant) -> Live {
    let settled_for = stored.final_for(now_ms);
    let key = OrderKey {
        trade_no: stored.order.trade_no.clone(),
        platform: Some(stored.platform),
        sub_platform: Some(stored.sub_platform),
        trade_type: Some(stored.trade_type),
        total_fee: Some(stored.total_fee),
    };
    let track = Track::resting(
        stored.order,
        stored.origin,
        stored.trade_type,
        settled_for,
        now,
    );
    Live::new(key, track)
}
