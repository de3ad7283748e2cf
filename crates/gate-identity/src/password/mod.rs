//! Passwords against hashes as `htpasswd` files hold them: bcrypt, argon2 and sha-crypt.
//!
//! Verifying takes from a millisecond to a second of CPU by design: whoever calls does it off the
//! workers. Older schemes (`$apr1$`, `{SHA}`, crypt, plain text) are refused when a file is read.

mod sha_crypt;

use argon2::password_hash::{PasswordHash, PasswordVerifier};
use sha_crypt::ShaCrypt;
use std::collections::HashMap;

/// Longest password in bytes; none of the schemes is worth more, and longer ones cost CPU.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Highest cost of bcrypt: 2^15 rounds take seconds.
const BCRYPT_COST_MAX: u32 = 15;
/// Most memory that argon2 may take, in KiB.
const ARGON2_KIB_MAX: u32 = 256 * 1024;
/// Most passes of argon2.
const ARGON2_PASSES_MAX: u32 = 64;
/// Most users of one file.
const USERS_MAX: usize = 100_000;

/// A hash of a password.
#[derive(Clone)]
pub struct Hash(Scheme);

#[derive(Clone)]
enum Scheme {
    Bcrypt(String),
    Argon2(String),
    ShaCrypt(ShaCrypt),
}

impl Hash {
    /// Reads a hash.
    ///
    /// # Errors
    /// Why it does not count; never the hash itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        let scheme = if text.starts_with("$2") {
            Scheme::Bcrypt(bcrypt_of(text)?)
        } else if text.starts_with("$argon2") {
            Scheme::Argon2(argon2_of(text)?)
        } else if text.starts_with("$5$") || text.starts_with("$6$") {
            let parsed = ShaCrypt::parse(text).ok_or("it is no whole sha-crypt hash")?;
            Scheme::ShaCrypt(parsed)
        } else {
            return Err("it is neither bcrypt, argon2 nor sha-crypt".to_owned());
        };
        Ok(Self(scheme))
    }

    /// Whether this is the password. Takes long on purpose.
    #[must_use]
    pub fn fits(&self, password: &[u8]) -> bool {
        if password.len() > PASSWORD_BYTES_MAX {
            return false;
        }
        match &self.0 {
            Scheme::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Scheme::Argon2(hash) => PasswordHash::new(hash).is_ok_and(|hash| {
                argon2::Argon2::default()
                    .verify_password(password, &hash)
                    .is_ok()
            }),
            Scheme::ShaCrypt(hash) => hash.fits(password),
        }
    }
}

/// `$2b$COST$` and 53 characters; `$2y$` and `$2a$` are the same to us.
fn bcrypt_of(text: &str) -> Result<String, String> {
    let known = ["$2a$", "$2b$", "$2y$"];
    let cost = text.get(4..6).and_then(|cost| cost.parse::<u32>().ok());
    let whole = text.len() == 60 && text.is_ascii() && known.contains(&&text[..4]);
    match cost {
        Some(4..=BCRYPT_COST_MAX) if whole => Ok(text.to_owned()),
        Some(cost) if whole => Err(format!(
            "its cost {cost} is not between 4 and {BCRYPT_COST_MAX}"
        )),
        _ => Err("it is no whole bcrypt hash".to_owned()),
    }
}

fn argon2_of(text: &str) -> Result<String, String> {
    let whole = "it is no whole argon2 hash";
    let hash = PasswordHash::new(text).map_err(|_| whole)?;
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err(whole.to_owned());
    }
    let of = |name: &str| hash.params.get_decimal(name).unwrap_or(0);
    if of("m") > ARGON2_KIB_MAX || of("t") > ARGON2_PASSES_MAX {
        return Err(format!(
            "it asks for more than {ARGON2_KIB_MAX} KiB or {ARGON2_PASSES_MAX} passes"
        ));
    }
    Ok(text.to_owned())
}

/// Users of an `htpasswd` file: one `name:hash` a line, `#` for remarks.
///
/// # Errors
/// Which line does not count and why; never its hash.
pub fn read_users(text: &str) -> Result<HashMap<String, Hash>, String> {
    let mut users = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let wrong = |what: &str| format!("line {}: {what}", number + 1);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, hash) = line.split_once(':').ok_or_else(|| wrong("no colon"))?;
        if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
            return Err(wrong("no name of a user"));
        }
        let hash = Hash::parse(hash).map_err(|why| wrong(&why))?;
        if users.insert(name.to_owned(), hash).is_some() {
            return Err(wrong(&format!("`{name}` is there twice")));
        }
        if users.len() > USERS_MAX {
            return Err(format!("it has more than {USERS_MAX} users"));
        }
    }
    match users.is_empty() {
        true => Err("it has no user".to_owned()),
        false => Ok(users),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with Debian's `htpasswd -B`, Python's argon2-cffi and crypt(3).
    const BCRYPT: &str = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

    #[test]
    fn passwords_fit_their_hashes_only() {
        // crypt_blowfish's own vector.
        let bcrypt = Hash::parse(BCRYPT).unwrap();
        assert!(bcrypt.fits(b"U*U") && !bcrypt.fits(b"U*U*") && !bcrypt.fits(b""));
        // The argon2 reference's vectors (test.c, version 19): "password", "somesalt".
        let argon2 = Hash::parse(
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        )
        .unwrap();
        assert!(argon2.fits(b"password") && !argon2.fits(b"passwort"));
        // sha-crypt's specification.
        let long = "we have a short salt string but not a short password";
        for (hash, password) in [
            (
                "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
                "Hello world!",
            ),
            (
                "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
                "Hello world!",
            ),
            (
                "$5$rounds=1400$anotherlongsalts$njY8e8Oazdt6LVB1IFQuzVqvw.kEeITfw0rzKvFXP9/",
                long,
            ),
            (
                "$6$rounds=77777$short$WuQyW2YR.hBNpjjRhpYD/ifIw05xdfeEyQoMxIXbkvr0gge1a1x3yRULJ5CCaUeOxFmtlcGZelFl5CxtgfiAc0",
                long,
            ),
        ] {
            let sha = Hash::parse(hash).unwrap();
            assert!(
                sha.fits(password.as_bytes()) && !sha.fits(b"Hello world"),
                "{hash}"
            );
        }
        let sha = Hash::parse("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5").unwrap();
        assert!(!sha.fits(&[b'x'; PASSWORD_BYTES_MAX + 1]));
    }

    #[test]
    fn files_are_read_strictly() {
        let users = read_users(&format!("# people\n\nada:{BCRYPT}\n eve:{BCRYPT}\n")).unwrap();
        assert_eq!(users.len(), 2);
        for (text, reason) in [
            (String::new(), "no user"),
            ("ada".to_owned(), "line 1: no colon"),
            (format!(":{BCRYPT}"), "no name"),
            (format!("a:{BCRYPT}\na:{BCRYPT}"), "line 2: `a` is there twice"),
            ("a:secret".to_owned(), "neither bcrypt"),
            ("a:$apr1$x$y".to_owned(), "neither bcrypt"),
            ("a:{SHA}x".to_owned(), "neither bcrypt"),
            (format!("a:{}", BCRYPT.replace("$05$", "$31$")), "its cost 31"),
            (format!("a:{}", &BCRYPT[..59]), "no whole bcrypt"),
            ("a:$argon2id$v=19$m=256".to_owned(), "no whole argon2"),
            ("a:$argon2id$v=19$m=9999999,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4".to_owned(), "more than"),
            ("a:$6$x".to_owned(), "no whole sha-crypt"),
        ] {
            let error = read_users(&text).err().expect(reason);
            assert!(error.contains(reason), "{error}");
            assert!(!error.contains("secret") && !error.contains("CCCC"));
        }
    }
}
