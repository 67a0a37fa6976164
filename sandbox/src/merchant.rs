//! The one merchant the sandbox knows. Every value here is public and worthless: no real gateway knows this merchant.

/// A published TEST key pair. It guards nothing: never use it anywhere else.
pub(crate) const TEST_PRIVATE_KEY: &str = include_str!("testdata/merchant-test-private.pem");
/// The public half of [`TEST_PRIVATE_KEY`].
pub(crate) const TEST_PUBLIC_KEY: &str = include_str!("testdata/merchant-test-public.pem");

/// The test merchant: what a register has to be configured with.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Merchant {
    /// The service provider's account (服务商).
    pub out_mch_id: &'static str,
    /// The sub-merchant's account (子商户).
    pub out_sub_mch_id: &'static str,
    /// The shop that payments are made in.
    pub out_shop_id: &'static str,
    /// A second shop of the same sub-merchant, so that lists have more than one page.
    pub other_shop_id: &'static str,
    /// What every order and refund number has to begin with (`cloud_cashier_id`).
    pub order_prefix: &'static str,
    /// The HMAC-SHA256 key of requests and responses.
    pub authen_key: &'static str,
    /// The merchant's number at the epay123 gateway.
    pub mch_no: &'static str,
    /// Its application there.
    pub app_id: &'static str,
    /// What that application signs with.
    pub app_secret: &'static str,
}

impl Merchant {
    /// The merchant of every sandbox.
    pub const TEST: Self = Self {
        out_mch_id: "sz01SANDBOXmch000001",
        out_sub_mch_id: "sz01SANDBOXsub000001",
        out_shop_id: "sz01SANDBOXshp000001",
        other_shop_id: "sz01SANDBOXshp000002",
        order_prefix: "sz0100",
        authen_key: "sandbox0only0worthless0test0key0",
        mch_no: "M0000000001",
        app_id: "5a9d0b0f5a9d0b0f00000001",
        app_secret: "sandbox0only0worthless0test0app0secret0",
    };

    /// Whether this is one of the merchant's shops.
    pub(crate) fn has_shop(&self, id: &str) -> bool {
        id == self.out_shop_id || id == self.other_shop_id
    }
}
