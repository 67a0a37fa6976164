//! Any bytes as text of a register, and any text as an answer to it.
#![no_main]

use cloudpay::Charset;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    for charset in [Charset::Utf8, Charset::Gbk] {
        let Ok(text) = charset.decode(bytes) else {
            continue;
        };
        let json = Value::from(text.as_str()).to_string();
        for ascii in [false, true] {
            let message = charset.encode_message(&text, ascii);
            let written = charset.encode_json(&json, ascii);
            if ascii {
                assert!(message.is_ascii() && written.is_ascii());
            }
            assert!(charset.decode(&message).is_ok());
            // Nothing of an answer is lost on the way to the register.
            let read = charset.decode(&written).expect("our own text");
            let read: Value = serde_json::from_str(&read).expect("our own JSON");
            assert_eq!(read, Value::from(text.as_str()));
        }
    }
});
