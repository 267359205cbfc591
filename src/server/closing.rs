//! Why the `FileServer` ends a connection.
//!
//! Knows no connection. Invariant: what breaks a rule or a bound is told apart from what happens among those who keep all
//! of them, so that tests can see that no honest node is ever sent away.

use std::fmt;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// It spoke before it said who it is.
    NoHello,
    /// It said twice who it is.
    HelloTwice,
    /// A client said what only nodes say.
    NotForClients,
    /// It sent leaves that were not asked for.
    UnwantedLeaves,
    /// It sent a block of another length than was asked for.
    WrongLength,
    /// It sent a record that the one named did not sign.
    WrongSignature,
    /// It sent a record that breaks the format's rules.
    IllegalRecord,
    /// It sent a grant that the root did not sign.
    WrongGrant,
    /// It passed on addresses that their node did not sign.
    WrongPresence,
    /// It offers more blocks than may wait.
    TooManyOffers,
    /// It wants more leaves than may wait.
    TooManyWants,
    /// It has this node's own key.
    Itself,
    /// Another node was dialled there.
    OtherNode,
    /// There is a connection to this node, and both sides keep that one.
    Duplicate,
    /// Its node has connected anew.
    Replaced,
    /// Its node has connected anew, and this connection does not answer.
    NoAnswer,
    /// More nodes run with its key than are let in.
    TooManyInstances,
}

impl fmt::Display for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHello => "it spoke before it said hello",
            Self::HelloTwice => "it said hello twice",
            Self::NotForClients => "it said what a client does not say",
            Self::UnwantedLeaves => "it sent leaves that nobody wanted",
            Self::WrongLength => "it sent a block of another length than was wanted",
            Self::WrongSignature => "it sent a record with a wrong signature",
            Self::IllegalRecord => "it sent a record that breaks the format's rules",
            Self::WrongGrant => "it sent a grant that the root did not sign",
            Self::WrongPresence => "it passed on addresses that their node did not sign",
            Self::TooManyOffers => "it offers too much at once",
            Self::TooManyWants => "it wants too much at once",
            Self::Itself => "it is this node itself",
            Self::OtherNode => "it is another node than the one that was dialled",
            Self::Duplicate => "a connection to this node exists",
            Self::Replaced => "it was replaced by a newer connection",
            Self::NoAnswer => "its node has connected anew, and this one does not answer",
            Self::TooManyInstances => "too many nodes run with this key",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Closing;
    use std::collections::BTreeSet;

    #[test]
    fn each_reason_has_a_sentence_of_its_own() {
        let all = [
            Closing::NoHello,
            Closing::HelloTwice,
            Closing::NotForClients,
            Closing::UnwantedLeaves,
            Closing::WrongLength,
            Closing::WrongSignature,
            Closing::IllegalRecord,
            Closing::WrongGrant,
            Closing::WrongPresence,
            Closing::TooManyOffers,
            Closing::TooManyWants,
            Closing::Itself,
            Closing::OtherNode,
            Closing::Duplicate,
            Closing::Replaced,
            Closing::NoAnswer,
            Closing::TooManyInstances,
        ];
        let sentences: BTreeSet<String> = all.iter().map(Closing::to_string).collect();
        assert_eq!(sentences.len(), all.len());
    }
}
