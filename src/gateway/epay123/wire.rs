//! The requests of the epay123/Jeepay protocol. The gateway signs what its own classes know, so
//! not one field beyond them is sent.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::Epay123;
use crate::gateway::{OrderKey, RefundKey};
use crate::model::{Marks, Payment, Platform, RefundRequest};
use crate::object::Object;

/// Required by the protocol, and never empty: what is bought when nobody said.
const DEFAULT_BODY: &str = "线下消费";
/// Why a refund is made when nobody said.
const DEFAULT_REASON: &str = "退款";
/// The longest `subject`, in characters.
const MAX_SUBJECT: usize = 64;

impl Epay123 {
    pub(super) fn pay(&self, payment: &Payment) -> Map<String, Value> {
        let (way, extra) = match &payment.code {
            Some(code) => ("AUTO_BAR", ("authCode", code.reveal())),
            None => match payment.platform {
                Platform::WeChat => ("WX_NATIVE", ("payDataType", "codeUrl")),
                Platform::Alipay => ("ALI_QR", ("payDataType", "codeUrl")),
            },
        };
        let extra = Map::from_iter([(extra.0.to_owned(), Value::from(extra.1))]);
        let extra = Value::from(extra).to_string();
        let (subject, body) = goods(payment);
        let mut fields = self.common();
        set(&mut fields, "mchOrderNo", &payment.trade_no);
        set(&mut fields, "wayCode", way);
        fields.insert("amount".to_owned(), payment.total_fee.into());
        set(&mut fields, "currency", "cny");
        set(&mut fields, "clientIp", &self.client_ip);
        set(&mut fields, "subject", &subject);
        set(&mut fields, "body", &body);
        set(&mut fields, "channelExtra", &extra);
        // What is handed back with the order.
        if let Some(attach) = payment.own_attach().or(payment.tag.as_deref()) {
            set(&mut fields, "extParam", &harmless(attach));
        }
        fields
    }

    /// What the order can be recognised by. A register's own `attach` may be the same for every
    /// order: then all the words together have to do.
    pub(super) fn sent_marks(&self, payment: &Payment) -> Marks {
        let (subject, body) = goods(payment);
        match payment.own_attach() {
            None => Marks {
                tag: payment.tag.clone(),
                ..Marks::default()
            },
            Some(attach) => Marks {
                words: Some(words([&subject, &body, &harmless(attach), &self.client_ip])),
                ..Marks::default()
            },
        }
    }

    pub(super) fn order(&self, key: &OrderKey) -> Map<String, Value> {
        let mut fields = self.common();
        set(&mut fields, "mchOrderNo", &key.trade_no);
        fields
    }

    pub(super) fn refund(&self, refund: &RefundRequest) -> Map<String, Value> {
        let mut fields = self.common();
        set(&mut fields, "mchOrderNo", &refund.trade_no);
        set(&mut fields, "mchRefundNo", &refund.refund_no);
        fields.insert("refundAmount".to_owned(), refund.refund_fee.into());
        set(&mut fields, "currency", "cny");
        let reason = given(refund.reason.as_deref(), DEFAULT_REASON);
        set(&mut fields, "refundReason", &reason);
        set(&mut fields, "clientIp", &self.client_ip);
        fields
    }

    pub(super) fn query_refund(&self, key: &RefundKey) -> Map<String, Value> {
        let mut fields = self.common();
        set(&mut fields, "mchRefundNo", &key.refund_no);
        fields
    }

    fn common(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        set(&mut fields, "version", "1.0");
        set(&mut fields, "signType", "MD5");
        let now = crate::clock::now_ms().to_string();
        set(&mut fields, "reqTime", &now);
        set(&mut fields, "mchNo", &self.mch_no);
        set(&mut fields, "appId", &self.app_id);
        fields
    }
}

/// `subject` and `body` of a payment, as they are sent.
fn goods(payment: &Payment) -> (String, String) {
    let body = given(payment.body.as_deref(), DEFAULT_BODY);
    let subject = body.chars().take(MAX_SUBJECT).collect();
    (subject, body)
}

/// What an order that is handed back tells of who made it.
pub(super) fn told_marks(data: &Object<'_>) -> Marks {
    let text = |key| data.text(key);
    let all = || {
        Some(words([
            &text("subject")?,
            &text("body")?,
            &text("extParam")?,
            &text("clientIp")?,
        ]))
    };
    Marks {
        tag: text("extParam"),
        words: all(),
        made_ms: data.integer("createdAt"),
        ..Marks::default()
    }
}

/// A digest of an order's words: `subject`, `body`, `extParam`, `clientIp`.
fn words(parts: [&str; 4]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

fn set(fields: &mut Map<String, Value>, key: &str, value: &str) {
    fields.insert(key.to_owned(), value.into());
}

fn given(words: Option<&str>, otherwise: &str) -> String {
    harmless(words.filter(|words| !words.is_empty()).unwrap_or(otherwise))
}

/// The text that is signed joins the fields with `&`: one inside a value could pass for two.
fn harmless(words: &str) -> String {
    words.replace('&', "＆")
}
