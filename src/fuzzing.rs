//! The gateways' side of the library for fuzz targets; compiled for them alone.

use crate::config::{Config, EpayKeys, Secret};
use crate::gateway::cloudpay::CloudPay;
use crate::gateway::epay123::Epay123;
use crate::gateway::{Answer, Call, Gateway, OrderKey, RefundKey, Verdict};
use crate::http::HttpResponse;
use crate::model::{OrderState, Page, Payment, PaymentCode, Platform, RefundRequest, Report};

const CONF: &str = r#"{
    "common_conf": {"journal_path": ":memory:", "log_path": "off"},
    "trade_conf": {
        "out_mch_id": "m", "out_sub_mch_id": "s", "out_shop_id": "h", "device_id": "d",
        "staff_id": "t", "authen_key": "key", "spbill_create_ip": "127.0.0.1"
    }
}"#;

/// The order that everything is about, and its amount in fen.
const NUMBER: &str = "N1";
const FEE: i64 = 100;

/// Both gateways, with keys that the targets know nothing of.
pub struct Gateways {
    cloudpay: CloudPay,
    epay123: Epay123,
}

impl Gateways {
    /// The gateways of one merchant.
    ///
    /// # Panics
    /// When the configuration above is refused.
    #[allow(
        clippy::expect_used,
        reason = "a fuzz target that can't start has to say so"
    )]
    pub fn new() -> Self {
        let parsed = Config::parse(CONF.as_bytes()).expect("the configuration");
        let merchant = parsed.config.merchant;
        let keys = EpayKeys {
            mch_no: "M1".to_owned(),
            app_id: "a1".to_owned(),
            app_secret: Secret::new("secret".to_owned()),
        };
        Self {
            epay123: Epay123::new(&keys, &merchant),
            cloudpay: CloudPay::new(merchant),
        }
    }

    /// Judges an answer of cloud pay to every kind of call. With `seal`, `body` is only the
    /// content, and its envelope is authentic.
    ///
    /// # Panics
    /// When an answer proves more than it may.
    pub fn cloudpay_answer(&self, body: &str, seal: bool) {
        let sealed = seal.then(|| self.cloudpay.seal("response_content", body));
        let body = sealed.unwrap_or_else(|| body.as_bytes().to_vec());
        self.judge(&self.cloudpay, body, seal);
    }

    /// The same for epay123; with `seal`, `body` is only the `data`.
    ///
    /// # Panics
    /// When an answer proves more than it may.
    pub fn epay123_answer(&self, body: &str, seal: bool) {
        let sealed = if seal { self.epay123.seal(body) } else { None };
        let body = sealed.unwrap_or_else(|| body.to_owned());
        self.judge(&self.epay123, body.into_bytes(), seal);
    }

    fn judge(&self, gateway: &dyn Gateway, body: Vec<u8>, sealed: bool) {
        let response = HttpResponse {
            status: 200,
            body,
            domain: "d".to_owned(),
            date_ms: None,
        };
        for platform in [Platform::WeChat, Platform::Alipay] {
            let payments = [payment(platform, true), payment(platform, false)];
            for payment in &payments {
                let order = OrderKey::of(payment);
                for call in [
                    Call::Pay(payment),
                    Call::QueryOrder(&order),
                    Call::CloseOrder(&order),
                    Call::Reverse(&order),
                ] {
                    check(&gateway.decode(&call, &response), sealed);
                }
            }
            let refund = refund(platform);
            let key = RefundKey::of(&refund);
            for call in [Call::Refund(&refund), Call::QueryRefund(&key)] {
                check(&gateway.decode(&call, &response), sealed);
            }
        }
        let report = Report::Shops {
            out_shop_id: None,
            page: Page { number: 1, size: 1 },
        };
        check(&gateway.decode(&Call::Report(&report), &response), sealed);
    }

    /// Opens a notification. With `seal`, `body` is only the content, and has to come out as it
    /// went in.
    ///
    /// # Panics
    /// When a forged one is opened, or an authentic one is changed.
    pub fn notification(&self, body: &str, seal: bool) {
        if seal {
            let sealed = self.cloudpay.seal("request_content", body);
            let opened = self.cloudpay.open_notification(&sealed).transpose();
            assert_eq!(
                opened.as_ref().map(Option::as_deref),
                Ok(Some(body)),
                "an authentic content was changed"
            );
        } else {
            let opened = self.cloudpay.open_notification(body.as_bytes()).transpose();
            assert!(opened.is_err(), "a forged notification was opened");
        }
    }
}

impl Default for Gateways {
    fn default() -> Self {
        Self::new()
    }
}

/// What no answer may do: prove something about an order unless it is authentic, be authentic
/// without the key, or prove a payment of another amount.
fn check(answer: &Answer, sealed: bool) {
    if answer.evidence.authenticated {
        assert!(sealed, "authentic without the key: {answer:?}");
    }
    match &answer.verdict {
        Verdict::Order(facts) => {
            assert!(answer.evidence.authenticated, "{answer:?}");
            if facts.state == OrderState::Paid && facts.other_amount.is_none() {
                assert_eq!(facts.total_fee, Some(FEE), "{answer:?}");
            }
        }
        Verdict::Refund(refund) => {
            assert!(answer.evidence.authenticated, "{answer:?}");
            assert_eq!(refund.refund_no, "R1", "{answer:?}");
        }
        Verdict::Refunds(_)
        | Verdict::Report(_)
        | Verdict::AskAgain
        | Verdict::Done
        | Verdict::Refused(_)
        | Verdict::Reentry(_) => assert!(answer.evidence.authenticated, "{answer:?}"),
        Verdict::NotFound
        | Verdict::RefusedUnsigned(_)
        | Verdict::NumberUsed(_)
        | Verdict::Busy(_)
        | Verdict::Untrusted(_) => {}
    }
    // Gateways' words go into logs: a second line of them would be a forged entry.
    let reason = answer.verdict.reason().both();
    assert!(!reason.contains(['\n', '\r']), "{reason:?}");
}

fn payment(platform: Platform, micro: bool) -> Payment {
    let start = match platform {
        Platform::WeChat => 13,
        Platform::Alipay => 28,
    };
    Payment {
        trade_no: NUMBER.to_owned(),
        code: micro.then(|| PaymentCode::new(&format!("{start}4520273825387649"))),
        platform,
        sub_platform: 100,
        total_fee: FEE,
        body: None,
        attach: None,
        goods_tag: None,
        limit_pay: None,
        product_id: None,
        detail: None,
        remark: None,
        client_flow_id: None,
        time_expire: None,
        alipay: Default::default(),
        staff_id: None,
        tag: None,
    }
}

fn refund(platform: Platform) -> RefundRequest {
    RefundRequest {
        trade_no: NUMBER.to_owned(),
        refund_no: "R1".to_owned(),
        platform: Some(platform),
        total_fee: FEE,
        refund_fee: FEE,
        reason: None,
        staff_id: None,
    }
}
