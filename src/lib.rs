//! WeChat Pay and Alipay for cash registers.
