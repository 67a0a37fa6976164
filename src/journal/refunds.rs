//! Refunds in the journal: what keeps a refund from being made twice by accident.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::value::RawValue;

use super::{Journal, Ticket, orders};
use crate::model::{Evidence, Platform, Refund, RefundRequest, RefundState, Source};

/// What became of a refund offered to the journal.
pub(crate) enum BegunRefund {
    /// It may be sent.
    Send {
        /// Which attempt it is, when nothing can have come of those before.
        attempt: Option<i64>,
        /// The domain that the attempt before went to.
        domain: Option<String>,
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
    /// Together with the order's other refunds it would be more than was paid.
    TooMuch {
        /// What is left to refund, in fen.
        left: i64,
    },
    /// The order is reversed or closed, or is about to be.
    TakenBack {
        /// It is proven.
        proven: bool,
    },
}

/// What became of a reverse or close offered to the journal.
pub(crate) enum BegunTakeBack {
    /// It may be sent.
    Send {
        /// None of this order was begun before and has no result.
        new: bool,
    },
    /// Money of the order goes back already, or has gone.
    Refunded {
        /// The number of such a refund.
        refund_no: String,
        /// All of them together, in fen.
        fee: i64,
    },
}

/// A refund under the same number: content, order, amount, domain, whether it is proven to have come
/// to nothing, and when it was last sent.
type KnownRefund = (Vec<u8>, String, i64, Option<String>, bool, i64);

/// What isn't proven to have come to nothing.
const STANDS: &str = "state NOT IN ('refused', 'failed', 'closed')";

impl Journal {
    /// Writes a refund before it is sent, unless its number stands for another one; with `alone`,
    /// also unless another one of the same order has no result yet. A refund and a reverse of one
    /// order exclude each other, and all refunds together are never more than was paid.
    pub(crate) fn begin_refund(&self, request: &RefundRequest, alone: bool) -> Ticket<BegunRefund> {
        let request = request.clone();
        let now = crate::clock::now_ms();
        self.submit(move |db| {
            let digest = request.content_digest();
            let known: Option<KnownRefund> = db
                .prepare_cached(
                    "SELECT content_sha256, out_trade_no, refund_fee, domain,
                         state IN ('refused', 'failed', 'closed'), updated_ms
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
            if !again {
                let excluded = excluded(db, &request)?;
                if let Some(excluded) = excluded {
                    return Ok(excluded);
                }
            }
            if let Some((.., domain, nothing, updated)) = known {
                // Every attempt has a time of its own.
                let attempt = now.max(updated + 1);
                db.prepare_cached(
                    "UPDATE refunds SET updated_ms = ?2,
                         state = CASE WHEN state IN ('refused', 'failed', 'closed')
                             THEN 'unknown' ELSE state END
                     WHERE out_refund_no = ?1",
                )?
                .execute(params![request.refund_no, attempt])?;
                return Ok(BegunRefund::Send {
                    attempt: nothing.then_some(attempt),
                    domain: domain.filter(|_| !nothing),
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
                request.platform.map_or(0, Platform::number),
                request.total_fee,
                request.refund_fee,
                digest,
                now
            ])?;
            Ok(BegunRefund::Send {
                attempt: Some(now),
                domain: None,
            })
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

    /// Writes that the gateway knows no such refund, though it would by now.
    pub(crate) fn record_missing_refund(&self, refund_no: &str) -> Ticket<()> {
        let refund_no = refund_no.to_owned();
        let now = crate::clock::now_ms();
        self.submit(move |db| {
            db.prepare_cached(
                "UPDATE refunds SET state = 'refused', updated_ms = ?2
                 WHERE out_refund_no = ?1 AND state = 'unknown'",
            )?
            .execute(params![refund_no, now])
            .map(drop)
        })
    }

    /// The order that a refund belongs to, and its amount in fen.
    pub(crate) fn known_refund(&self, refund_no: &str) -> Ticket<Option<(String, i64)>> {
        let refund_no = refund_no.to_owned();
        self.submit_unsynced(move |db| {
            db.prepare_cached(
                "SELECT out_trade_no, refund_fee FROM refunds WHERE out_refund_no = ?1",
            )?
            .query_row([refund_no], |row| row.try_into())
            .optional()
        })
    }

    /// The refunds of an order, oldest first, but for those that were refused.
    pub(crate) fn refunds_of(&self, trade_no: &str) -> Ticket<Vec<Refund>> {
        let trade_no = trade_no.to_owned();
        self.submit_unsynced(move |db| {
            db.prepare_cached(
                "SELECT out_refund_no, out_trade_no, refund_id, state, refund_fee,
                     coalesce(evidence_time_ms, updated_ms), coalesce(evidence_domain, ''),
                     evidence_log_id, refund_content
                 FROM refunds WHERE out_trade_no = ?1 AND state <> 'refused'
                 ORDER BY created_ms, out_refund_no",
            )?
            .query_map([trade_no], stored)?
            .collect()
        })
    }

    /// Writes that an order is about to be reversed or closed, unless money of it goes back already.
    pub(crate) fn begin_take_back(&self, trade_no: &str) -> Ticket<BegunTakeBack> {
        let trade_no = trade_no.to_owned();
        let now = crate::clock::now_ms();
        self.submit(move |db| {
            let (refund_no, fee): (Option<String>, i64) = db
                .prepare_cached(&format!(
                    "SELECT min(out_refund_no), coalesce(sum(refund_fee), 0) FROM refunds
                     WHERE out_trade_no = ?1 AND {STANDS}"
                ))?
                .query_row([&trade_no], |row| row.try_into())?;
            if let Some(refund_no) = refund_no {
                return Ok(BegunTakeBack::Refunded { refund_no, fee });
            }
            let inserted = db
                .prepare_cached(
                    "INSERT INTO take_backs VALUES (?1, 'under_way', ?2)
                     ON CONFLICT (out_trade_no) DO NOTHING",
                )?
                .execute(params![trade_no, now])?;
            Ok(BegunTakeBack::Send { new: inserted > 0 })
        })
    }

    /// Writes that nothing can come of a reverse or close any more.
    pub(crate) fn forget_take_back(&self, trade_no: &str) -> Ticket<()> {
        let trade_no = trade_no.to_owned();
        self.submit(move |db| {
            db.prepare_cached(
                "DELETE FROM take_backs WHERE out_trade_no = ?1 AND state = 'under_way'",
            )?
            .execute([trade_no])
            .map(drop)
        })
    }

    /// Writes to which domain a refund goes now, before it does.
    pub(crate) fn record_refund_domain(&self, refund_no: &str, domain: &str) -> Ticket<()> {
        let (refund_no, domain) = (refund_no.to_owned(), domain.to_owned());
        self.submit(move |db| {
            db.prepare_cached(
                "UPDATE refunds SET domain = ?2
                 WHERE out_refund_no = ?1 AND domain IS NOT ?2",
            )?
            .execute([refund_no, domain])
            .map(drop)
        })
    }

    /// The domain that may have taken a refund.
    pub(crate) fn refund_domain(&self, refund_no: &str) -> Ticket<Option<String>> {
        let refund_no = refund_no.to_owned();
        self.submit_unsynced(move |db| {
            let domain = db
                .prepare_cached("SELECT domain FROM refunds WHERE out_refund_no = ?1")?
                .query_row([refund_no], |row| row.get(0))
                .optional()?;
            Ok(domain.flatten())
        })
    }
}

/// Why a refund may not be made, whatever the gateway would say.
fn excluded(db: &Connection, request: &RefundRequest) -> rusqlite::Result<Option<BegunRefund>> {
    let reversed: bool = db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM orders WHERE out_trade_no = ?1 AND state = 'reversed')",
        )?
        .query_row([&request.trade_no], |row| row.get(0))?;
    let taken_back: Option<bool> = db
        .prepare_cached("SELECT state = 'done' FROM take_backs WHERE out_trade_no = ?1")?
        .query_row([&request.trade_no], |row| row.get(0))
        .optional()?;
    if reversed || taken_back.is_some() {
        let proven = reversed || taken_back == Some(true);
        return Ok(Some(BegunRefund::TakenBack { proven }));
    }
    let others: i64 = db
        .prepare_cached(&format!(
            "SELECT coalesce(sum(refund_fee), 0) FROM refunds
             WHERE out_trade_no = ?1 AND out_refund_no <> ?2 AND {STANDS}"
        ))?
        .query_row([&request.trade_no, &request.refund_no], |row| row.get(0))?;
    let left = request.total_fee - others;
    Ok((request.refund_fee > left).then_some(BegunRefund::TooMuch { left }))
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Refund> {
    let state: String = row.get(3)?;
    let content: Option<String> = row.get(8)?;
    Ok(Refund {
        refund_no: row.get(0)?,
        trade_no: row.get(1)?,
        refund_id: row.get(2)?,
        state: RefundState::from_name(&state).unwrap_or(RefundState::Unknown),
        refund_fee: row.get(4)?,
        evidence: Evidence {
            source: Source::Journal,
            authenticated: content.is_some(),
            time_ms: row.get(5)?,
            gateway_ms: None,
            domain: row.get(6)?,
            log_id: row.get(7)?,
        },
        content: content.and_then(|content| RawValue::from_string(content).ok()),
    })
}
