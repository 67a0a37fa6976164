//! Refunds in the journal: what keeps a refund from being made twice by accident.

use rusqlite::{OptionalExtension, params};

use super::{Journal, Ticket, orders};
use crate::model::{Refund, RefundRequest};

/// What became of a refund offered to the journal.
pub(crate) enum BegunRefund {
    /// It may be sent.
    Send {
        /// Which attempt it is, when nothing can have come of those before.
        attempt: Option<i64>,
    },
    /// The number stands for another refund, of this order and this many fen.
    Taken {
        /// The order it belongs to.
        trade_no: String,
        /// Its amount in fen.
        refund_fee: i64,
    },
    /// The result of another refund of the same order isn't known.
    MustWait {
        /// The other one's number.
        refund_no: String,
    },
}

impl Journal {
    /// Writes a refund before it is sent, unless its number stands for another one; with `alone`,
    /// also unless another one of the same order has no result yet.
    pub(crate) fn begin_refund(&self, request: &RefundRequest, alone: bool) -> Ticket<BegunRefund> {
        let request = request.clone();
        let now = crate::clock::now_ms();
        self.submit(move |db| {
            let digest = request.content_digest();
            let known: Option<(Vec<u8>, String, i64, bool, i64)> = db
                .prepare_cached(
                    "SELECT content_sha256, out_trade_no, refund_fee, state = 'refused', updated_ms
                     FROM refunds WHERE out_refund_no = ?1",
                )?
                .query_row([&request.refund_no], |row| row.try_into())
                .optional()?;
            if let Some((known, trade_no, refund_fee, ..)) = &known
                && *known != digest
            {
                return Ok(BegunRefund::Taken {
                    trade_no: trade_no.clone(),
                    refund_fee: *refund_fee,
                });
            }
            // Nothing is lost by saying again what something may have come of.
            let again = matches!(known, Some((.., false, _)));
            if alone && !again {
                let open: Option<String> = db
                    .prepare_cached(
                        "SELECT out_refund_no FROM refunds WHERE out_trade_no = ?1
                         AND out_refund_no <> ?2 AND state = 'unknown'",
                    )?
                    .query_row([&request.trade_no, &request.refund_no], |row| row.get(0))
                    .optional()?;
                if let Some(refund_no) = open {
                    return Ok(BegunRefund::MustWait { refund_no });
                }
            }
            if let Some((.., refused, updated)) = known {
                // Every attempt has a time of its own.
                let attempt = now.max(updated + 1);
                db.prepare_cached(
                    "UPDATE refunds SET updated_ms = ?2,
                         state = CASE state WHEN 'refused' THEN 'unknown' ELSE state END
                     WHERE out_refund_no = ?1",
                )?
                .execute(params![request.refund_no, attempt])?;
                return Ok(BegunRefund::Send {
                    attempt: refused.then_some(attempt),
                });
            }
            db.prepare_cached(
                "INSERT INTO refunds (out_refund_no, out_trade_no, pay_platform, total_fee,
                     refund_fee, content_sha256, state, message, created_ms, updated_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'unknown', '', ?7, ?7)",
            )?
            .execute(params![
                request.refund_no,
                request.trade_no,
                request.platform.number(),
                request.total_fee,
                request.refund_fee,
                digest,
                now
            ])?;
            Ok(BegunRefund::Send { attempt: Some(now) })
        })
    }

    /// Writes that an attempt never left this machine, unless there was another one since.
    pub(crate) fn record_unsent_refund(&self, refund_no: &str, attempt: i64) -> Ticket<()> {
        let refund_no = refund_no.to_owned();
        self.submit(move |db| {
            db.prepare_cached(
                "UPDATE refunds SET state = 'refused'
                 WHERE out_refund_no = ?1 AND state = 'unknown' AND updated_ms = ?2",
            )?
            .execute(params![refund_no, attempt])
            .map(drop)
        })
    }

    /// Writes what the gateway said of a refund.
    pub(crate) fn record_refund(&self, refund: &Refund) -> Ticket<()> {
        let refund = refund.clone();
        let now = crate::clock::now_ms();
        self.submit(move |db| {
            let content = refund.content.as_deref().and_then(orders::without_private);
            db.prepare_cached(
                "UPDATE refunds SET state = ?2, refund_id = coalesce(?3, refund_id),
                     refund_content = coalesce(?4, refund_content), evidence_time_ms = ?5,
                     evidence_domain = ?6, evidence_log_id = ?7, updated_ms = ?8
                 WHERE out_refund_no = ?1",
            )?
            .execute(params![
                refund.refund_no,
                refund.state.name(),
                refund.refund_id,
                content,
                refund.evidence.time_ms,
                refund.evidence.domain,
                refund.evidence.log_id,
                now
            ])
            .map(drop)
        })
    }

    /// Writes that the gateway refused a refund, and in which words.
    pub(crate) fn record_refused_refund(&self, refund_no: &str, message: &str) -> Ticket<()> {
        let (refund_no, message) = (refund_no.to_owned(), message.to_owned());
        let now = crate::clock::now_ms();
        self.submit(move |db| {
            db.prepare_cached(
                "UPDATE refunds SET state = 'refused', message = ?2, updated_ms = ?3
                 WHERE out_refund_no = ?1 AND state IN ('unknown', 'refused')",
            )?
            .execute(params![refund_no, message, now])
            .map(drop)
        })
    }

    /// Writes that the gateway knows no such refund, unless it was sent within a minute: then it may
    /// be on its way.
    pub(crate) fn record_missing_refund(&self, refund_no: &str) -> Ticket<()> {
        let refund_no = refund_no.to_owned();
        let now = crate::clock::now_ms();
        self.submit(move |db| {
            db.prepare_cached(
                "UPDATE refunds SET state = 'refused', updated_ms = ?2
                 WHERE out_refund_no = ?1 AND state = 'unknown' AND updated_ms < ?2 - 60000",
            )?
            .execute(params![refund_no, now])
            .map(drop)
        })
    }

    /// The order that a refund belongs to.
    pub(crate) fn order_of_refund(&self, refund_no: &str) -> Ticket<Option<String>> {
        let refund_no = refund_no.to_owned();
        self.submit_unsynced(move |db| {
            db.prepare_cached("SELECT out_trade_no FROM refunds WHERE out_refund_no = ?1")?
                .query_row([refund_no], |row| row.get(0))
                .optional()
        })
    }
}
