//! A payment as the register asked for it.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Platform, TradeType};
use crate::text::{Text, text};
use crate::traces::without_traces;

/// What the customer's phone shows: good for one payment and about a minute. A secret: `Debug`
/// and everything that is stored show only [`PaymentCode::masked`].
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PaymentCode(Zeroizing<String>);

impl PaymentCode {
    /// Wraps the digits that the scanner read.
    pub(crate) fn new(digits: impl Into<String>) -> Self {
        Self(Zeroizing::new(digits.into()))
    }

    /// The digits, for the request and nothing else.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// The first two and the last four digits, for support.
    pub(crate) fn masked(&self) -> String {
        mask(&self.0)
    }

    /// The platform that issues codes of this form (WeChat: 18 digits beginning 10–15,
    /// Alipay: 16–24 digits beginning 25–30).
    pub(crate) fn platform(&self) -> Option<Platform> {
        let digits: &str = &self.0;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let prefix: u32 = digits.get(..2)?.parse().ok()?;
        match (prefix, digits.len()) {
            (10..=15, 18) => Some(Platform::WeChat),
            (25..=30, 16..=24) => Some(Platform::Alipay),
            _ => None,
        }
    }

    /// The digest under which engine and journal remember which codes are in use. Keyed: the codes
    /// of an hour could be tried one by one.
    pub(crate) fn digest(&self, key: &CodeKey) -> [u8; 32] {
        let mut mac = key.0.clone();
        mac.update(self.0.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

/// The key of the payment codes' digests, made of the merchant's own secret.
pub(crate) struct CodeKey(Hmac<Sha256>);

impl CodeKey {
    pub(crate) fn new(secret: &str) -> Self {
        without_traces(|| {
            let mut mac = keyed(secret.as_bytes());
            mac.update(b"cloudpay payment codes");
            let key = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
            Self(keyed(&*key))
        })
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length.
    Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()))
}

impl std::fmt::Debug for PaymentCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.masked())
    }
}

/// `13****7649`: enough to find a payment by, too little to pay with.
pub(crate) fn mask(code: &str) -> String {
    let length = code.chars().count();
    if length < 10 {
        return "****".to_owned();
    }
    let head: String = code.chars().take(2).collect();
    let tail: String = code.chars().skip(length - 4).collect();
    format!("{head}****{tail}")
}

/// Keys that only Alipay knows (`alipay_pay_content_ext`). Amounts in fen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AlipayExtras {
    /// Part of the amount that discounts apply to.
    pub discountable_amount: Option<i64>,
    /// Part of the amount that discounts don't apply to.
    pub undiscountable_amount: Option<i64>,
    /// Product code, at most 128 characters.
    pub product_code: Option<String>,
    /// Profit sharing, JSON as text, at most 256 characters.
    pub royalty_info: Option<String>,
    /// Extension parameters, JSON as text, at most 256 characters.
    pub extend_params: Option<String>,
    /// Channels that must not be used, at most 128 characters.
    pub disable_pay_channels: Option<String>,
}

/// A checked payment request: micro_pay when it has a `code`, scan_code_pay when not.
#[derive(Clone, Debug)]
pub(crate) struct Payment {
    /// The register's order number (`out_trade_no`), at most 32 characters.
    pub trade_no: String,
    /// The customer's payment code; `None` for scan_code_pay.
    pub code: Option<PaymentCode>,
    /// WeChat or Alipay.
    pub platform: Platform,
    /// Protocol: `sub_pay_platform`.
    pub sub_platform: i64,
    /// Amount in fen, 1..=2_147_483_647.
    pub total_fee: i64,
    /// What is bought, at most 128 characters.
    pub body: Option<String>,
    /// Handed back with the order, at most 127 characters (WeChat).
    pub attach: Option<String>,
    /// Voucher tag, at most 32 characters (WeChat).
    pub goods_tag: Option<String>,
    /// `no_credit` forbids credit cards (WeChat).
    pub limit_pay: Option<String>,
    /// The register's product id, at most 32 characters (WeChat scan_code_pay).
    pub product_id: Option<String>,
    /// Goods list, JSON as text, at most 6000 characters.
    pub detail: Option<String>,
    /// Remark, at most 127 characters.
    pub remark: Option<String>,
    /// The register's own flow number.
    pub client_flow_id: Option<String>,
    /// When the QR code ends, in seconds since 1970 (scan_code_pay).
    pub time_expire: Option<i64>,
    /// Alipay's own keys.
    pub alipay: AlipayExtras,
    /// The cashier, where the register named one for this payment; not part of what is paid for.
    pub staff_id: Option<String>,
    /// Random characters that go where `attach` would, when there is none (see
    /// [`Marks::tag`](super::Marks)). Drawn when the payment is accepted.
    pub tag: Option<String>,
}

impl Payment {
    /// What the register wants handed back with the order.
    pub(crate) fn own_attach(&self) -> Option<&str> {
        self.attach.as_deref().filter(|attach| !attach.is_empty())
    }

    /// How this payment is made.
    pub(crate) fn trade_type(&self) -> TradeType {
        match self.code {
            Some(_) => TradeType::MicroPay,
            None => TradeType::ScanCode,
        }
    }

    /// A digest of everything asked for but the payment code: the journal keeps it to tell
    /// "the same order again" from "another order under the same number" (`lifecycle.md`,
    /// invariant 3). The code is left out because a digest of it could be searched.
    pub(crate) fn content_digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut add = |part: &str| {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        };
        add(&self.trade_type().number().to_string());
        add(&self.platform.number().to_string());
        add(&self.sub_platform.to_string());
        add(&self.total_fee.to_string());
        let alipay = &self.alipay;
        let number = |value: Option<i64>| value.map(|value| value.to_string());
        for part in [
            self.body.as_deref(),
            self.attach.as_deref(),
            self.goods_tag.as_deref(),
            self.limit_pay.as_deref(),
            self.product_id.as_deref(),
            self.detail.as_deref(),
            self.remark.as_deref(),
            self.client_flow_id.as_deref(),
            number(self.time_expire).as_deref(),
            number(alipay.discountable_amount).as_deref(),
            number(alipay.undiscountable_amount).as_deref(),
            alipay.product_code.as_deref(),
            alipay.royalty_info.as_deref(),
            alipay.extend_params.as_deref(),
            alipay.disable_pay_channels.as_deref(),
        ] {
            add(part.unwrap_or("\0none"));
        }
        hash.finalize().into()
    }

    /// Who the code belongs to, or why it can't be a payment code.
    pub(crate) fn platform_of(code: &PaymentCode) -> Result<Platform, Text> {
        code.platform().ok_or_else(|| {
            let length = code.reveal().chars().count();
            let head: String = code.reveal().chars().take(2).collect();
            text!(
                "author_code：不是付款码（微信为 10–15 开头的 18 位数字，支付宝为 25–30 开头的 16–24 位数字），得到 \"{head}\" 开头的 {length} 个字符；如确认无误请填写 pay_platform",
                "author_code: not a payment code (WeChat: 18 digits beginning 10-15; Alipay: 16-24 digits beginning 25-30), got {length} characters beginning \"{head}\"; give pay_platform if it is right all the same"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_their_platform() {
        let platform = |digits: &str| PaymentCode::new(digits).platform();
        assert_eq!(platform("134520273825387649"), Some(Platform::WeChat));
        assert_eq!(platform("282129340414399818"), Some(Platform::Alipay));
        assert_eq!(platform("2821293404143998"), Some(Platform::Alipay));
        for wrong in [
            "",
            "1",
            "13452027382538764",
            "1345202738253876490",
            "164520273825387649",
            "13452027382538764x",
            "支付宝支付宝",
        ] {
            assert_eq!(platform(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_masked_code_keeps_two_and_four_digits() {
        let code = PaymentCode::new("134520273825387649");
        assert_eq!(code.masked(), "13****7649");
        assert_eq!(format!("{code:?}"), "13****7649");
        assert_eq!(PaymentCode::new("12345").masked(), "****");
    }
}
