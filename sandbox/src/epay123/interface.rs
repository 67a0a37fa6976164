//! The interfaces and their keys. What is not listed here is not part of a request's signature either.

use crate::fields::Kind::{Free, Line, Number, Text};
use crate::fields::{Field, may, need};

/// The largest amount.
const MAX: i64 = 2_147_483_647;

/// One interface of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interface {
    UnifiedOrder,
    Query,
    Close,
    Refund,
    QueryRefund,
}

impl Interface {
    /// The interface behind a path.
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        Some(match path {
            "/api/pay/unifiedOrder" => Self::UnifiedOrder,
            "/api/pay/query" => Self::Query,
            "/api/pay/close" => Self::Close,
            "/api/refund/refundOrder" => Self::Refund,
            "/api/refund/query" => Self::QueryRefund,
            _ => return None,
        })
    }

    /// Its own keys, besides [`COMMON`].
    pub(crate) fn fields(self) -> &'static [Field] {
        match self {
            Self::UnifiedOrder => UNIFIED_ORDER,
            Self::Query | Self::Close => WHICH,
            Self::Refund => REFUND,
            Self::QueryRefund => QUERY_REFUND,
        }
    }
}

/// The keys of every request.
pub(crate) const COMMON: &[Field] = &[
    need("version", Text(10)),
    need("signType", Text(10)),
    need("sign", Text(64)),
    need("reqTime", Text(13)),
    need("mchNo", Text(64)),
    need("appId", Text(64)),
];

const UNIFIED_ORDER: &[Field] = &[
    need("mchOrderNo", Text(64)),
    need("wayCode", Text(30)),
    need("amount", Number(1, MAX)),
    need("currency", Text(3)),
    may("clientIp", Text(32)),
    need("subject", Text(64)),
    need("body", Text(256)),
    may("notifyUrl", Text(128)),
    may("returnUrl", Text(128)),
    may("expiredTime", Number(1, MAX)),
    may("channelExtra", Line(512)),
    may("extParam", Text(512)),
    may("divisionMode", Free),
];
const WHICH: &[Field] = &[may("mchOrderNo", Text(64)), may("payOrderId", Text(64))];
const REFUND: &[Field] = &[
    may("mchOrderNo", Text(64)),
    may("payOrderId", Text(64)),
    need("mchRefundNo", Text(64)),
    need("refundAmount", Number(1, MAX)),
    need("currency", Text(3)),
    need("refundReason", Text(256)),
    may("clientIp", Text(32)),
    may("notifyUrl", Text(128)),
    may("channelExtra", Line(512)),
    may("extParam", Text(512)),
];
const QUERY_REFUND: &[Field] = &[may("mchRefundNo", Text(64)), may("refundOrderId", Text(64))];
