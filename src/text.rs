//! What the library says to people, in the two languages of `common_conf.language`.

use std::fmt;

/// The language of the library's own messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// Chinese, the default.
    #[default]
    Zh,
    /// English.
    En,
}

/// One message in both languages, written side by side where it arises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    zh: String,
    en: String,
}

impl Text {
    /// The message in Chinese and in English.
    pub fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self {
            zh: zh.into(),
            en: en.into(),
        }
    }

    /// Words that are not ours, the gateway's for example: the same in both languages.
    pub fn verbatim(words: impl Into<String>) -> Self {
        let words = words.into();
        Self {
            zh: words.clone(),
            en: words,
        }
    }

    /// The message in one language.
    pub fn pick(&self, language: Language) -> &str {
        match language {
            Language::Zh => &self.zh,
            Language::En => &self.en,
        }
    }

    /// Both languages in one line, for when nobody has said yet which one is wanted.
    pub fn both(&self) -> String {
        if self.zh == self.en {
            return self.zh.clone();
        }
        format!("{} ({})", self.zh, self.en)
    }
}

/// Logs and `Debug` are read by engineers of all countries: English.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.en)
    }
}

/// `text!("中文 {x}", "English {x}")`: a [`Text`] with the variables in scope written in.
macro_rules! text {
    ($zh:literal, $en:literal) => {
        $crate::text::Text::new(format!($zh), format!($en))
    };
}
pub(crate) use text;
