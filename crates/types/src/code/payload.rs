//! Codes of payloads that are not signed as they are.

use super::codes;

codes! {
    /// Why a payload is not understood well enough to be signed, or cannot be signed with a key.
    pub enum PayloadCode {
        /// The payload is longer than any payload may be; nothing of it was parsed.
        PayloadTooLong = "payload-too-long", @ Caller,
            "Split the work into smaller transactions.";
        /// A payload other than raw bytes came without the chain it is meant for.
        PayloadNetworkMissing = "payload-network-missing", @ Caller,
            "Name the chain with `--chain`.";
        /// The payload's kind does not exist on the chain that was named.
        PayloadNotForNetwork = "payload-not-for-network", @ Caller,
            "Choose the chain that the payload is for, or the payload kind of that chain.";
        /// Bytes are left over after the end of the payload.
        PayloadTrailingBytes = "payload-trailing-bytes", @ Caller,
            "Send the exact bytes of one transaction or message.";
        /// Encoding the parsed payload again gives other bytes, so what was read is not all that
        /// would be signed.
        PayloadNotCanonical = "payload-not-canonical", @ Caller,
            "Build it again with a tool that writes the canonical encoding.";
        /// The batch has more messages or inputs to sign than one request may have.
        PayloadTooManyItems = "payload-too-many-items", @ Caller,
            "Split it into several requests.";
        /// The payload has more inputs, outputs or movements than are judged at once.
        PayloadTooManyParts = "payload-too-many-parts", @ Caller,
            "Split the work into smaller transactions; the message says what there are too many of.";
        /// Some members of the batch are valid on one network, others on every one, so that no rule
        /// can be about all of it.
        PayloadMixedNetworks = "payload-mixed-networks", @ Caller,
            "Sign those that name a chain apart from those that do not.";
        /// Raw bytes belong to no chain, but one was named.
        RawWithNetwork = "raw-with-network", @ Caller,
            "Leave `--chain` out, or use the chain's own payload kind.";
        /// The key was not created for raw bytes.
        RawNotAllowed = "raw-not-allowed", @ Caller,
            "Sign a transaction or message of a chain, or create a key with `--raw-signing`.";
        /// A Solana validator would take the raw bytes as a message.
        RawIsSolanaMessage = "raw-is-solana-message", @ Caller,
            "Sign them as a Solana message.";
        /// Raw bytes of exactly 32 bytes can be the inner hash of a Bitcoin sighash, whose SHA-256
        /// is signed.
        RawIsHalfSighash = "raw-is-half-sighash", @ Caller,
            "Put a prefix before them that says what they are.";
        /// Messages are not signed on this chain.
        MessageNotSupported = "message-not-supported", @ Caller,
            "Use an EVM chain (EIP-191).";
        /// The signature scheme does not exist on the key's curve.
        KeySchemeNotOnCurve = "key-scheme-not-on-curve", @ Caller,
            "`quorate key create --help` lists curves and schemes.";
        /// The chain verifies signatures of another curve or scheme than the key's.
        KeyNotForNetwork = "key-not-for-network", @ Caller,
            "Use a key of the curve and scheme that the message names.";
        /// The bytes are no public key: no point of the curve in its canonical encoding.
        KeyNotAPoint = "key-not-a-point", @ Caller,
            "Check where the public key comes from.";
        /// There is not exactly one signature for each message or input.
        SignatureCount = "signature-count", @ Caller,
            "Give the signatures in the order of the items, one each.";
        /// A signature does not verify under the key, child and message.
        SignatureInvalid = "signature-invalid", @ Denied,
            "Do not use it; check that key, path and payload are those that were signed.";
        /// The EVM transaction has no bytes.
        EvmEmpty = "evm-empty", @ Caller,
            "Send the unsigned transaction.";
        /// The bytes are no unsigned EVM transaction.
        EvmMalformed = "evm-malformed", @ Caller,
            "The message says where parsing stopped.";
        /// The transaction is not canonical RLP.
        EvmNonCanonicalRlp = "evm-non-canonical-rlp", @ Caller,
            "Write integers without leading zeros and lengths in the shortest form.";
        /// A legacy transaction has no replay protection (EIP-155), and would be valid on every
        /// chain.
        EvmPreEip155 = "evm-pre-eip155", @ Caller,
            "Add the fields chain id, 0, 0.";
        /// The transaction carries a signature.
        EvmAlreadySigned = "evm-already-signed", @ Caller,
            "Send the unsigned form.";
        /// The transaction has more or fewer fields than its type has.
        EvmFieldCount = "evm-field-count", @ Caller,
            "Send the unsigned form of its type.";
        /// A blob transaction (EIP-4844) has no blob.
        EvmNoBlobs = "evm-no-blobs", @ Caller,
            "Use type 2.";
        /// A blob's versioned hash does not begin with 0x01.
        EvmBlobHashVersion = "evm-blob-hash-version", @ Caller,
            "Compute it as EIP-4844 says.";
        /// A set-code transaction (EIP-7702) has no authorisation.
        EvmNoAuthorizations = "evm-no-authorizations", @ Caller,
            "Use type 2.";
        /// The transaction's type is not supported.
        EvmUnknownType = "evm-unknown-type", @ Caller,
            "Use legacy, 1 (EIP-2930), 2 (EIP-1559), 3 (EIP-4844) or 4 (EIP-7702).";
        /// The transaction is for another chain than the request.
        EvmWrongChainId = "evm-wrong-chain-id", @ Caller,
            "Name the transaction's chain with `--chain`.";
        /// The priority fee is above the maximum fee.
        EvmTipAboveCap = "evm-tip-above-cap", @ Caller,
            "Lower `maxPriorityFeePerGas`.";
        /// The transaction's JSON cannot be read.
        EvmJson = "evm-json", @ Caller,
            "The message names the field.";
        /// The typed data is longer than is signed.
        TypedDataTooLong = "typed-data-too-long", @ Caller,
            "Sign less at once.";
        /// The typed data is no EIP-712 JSON.
        TypedDataJson = "typed-data-json", @ Caller,
            "The message says where parsing stopped.";
        /// The typed data has a field that the signature would not cover.
        TypedDataUnknownField = "typed-data-unknown-field", @ Caller,
            "Remove it.";
        /// The typed data lacks a field that its types declare.
        TypedDataMissingField = "typed-data-missing-field", @ Caller,
            "Add it.";
        /// The typed data's types cannot be used.
        TypedDataType = "typed-data-type", @ Caller,
            "The message says which.";
        /// A type is declared that is no part of the message.
        TypedDataUnusedType = "typed-data-unused-type", @ Caller,
            "Remove it.";
        /// The primary type is the domain, so nothing but the domain would be signed.
        TypedDataPrimaryIsDomain = "typed-data-primary-is-domain", @ Caller,
            "Name the message's own type.";
        /// The domain's declared type differs from its values.
        TypedDataDomainType = "typed-data-domain-type", @ Caller,
            "Declare the standard fields in their order.";
        /// A value does not fit its type.
        TypedDataValue = "typed-data-value", @ Caller,
            "The message names it.";
        /// The typed data is for another chain than the request.
        TypedDataWrongChainId = "typed-data-wrong-chain-id", @ Caller,
            "Name the domain's chain with `--chain`.";
        /// The bytes are no PSBT (BIP-174, BIP-370).
        PsbtMalformed = "psbt-malformed", @ Caller,
            "The message says where parsing stopped.";
        /// The PSBT's version is not supported.
        PsbtUnsupportedVersion = "psbt-unsupported-version", @ Caller,
            "Use version 0 or 2.";
        /// The PSBT may still be given inputs or outputs.
        PsbtModifiable = "psbt-modifiable", @ Caller,
            "Finish it and set `PSBT_GLOBAL_TX_MODIFIABLE` to 0.";
        /// An input requires a lock time that is none.
        PsbtRequiredLockTime = "psbt-required-lock-time", @ Caller,
            "Heights are 1 to 499999999, times 500000000 and more.";
        /// Some inputs require a height as lock time, others a time.
        PsbtLockTimeConflict = "psbt-lock-time-conflict", @ Caller,
            "Spend them apart.";
        /// The PSBT has no inputs or no outputs.
        PsbtEmpty = "psbt-empty", @ Caller,
            "Add them.";
        /// The PSBT has an unknown or proprietary field.
        PsbtUnknownField = "psbt-unknown-field", @ Caller,
            "Remove it.";
        /// An input has a field that does not belong to an input of a single key.
        PsbtUnexpectedField = "psbt-unexpected-field", @ Caller,
            "Remove it.";
        /// An input is signed already.
        PsbtAlreadySigned = "psbt-already-signed", @ Caller,
            "Send the unsigned PSBT.";
        /// An input lacks `witness_utxo`, the output that it spends.
        PsbtMissingWitnessUtxo = "psbt-missing-witness-utxo", @ Caller,
            "Add it.";
        /// An input lacks `non_witness_utxo`; a BIP-143 signature does not cover the other inputs'
        /// amounts without it.
        PsbtMissingPreviousTransaction = "psbt-missing-previous-transaction", @ Caller,
            "Add the whole previous transaction.";
        /// The previous transaction of an input has another id than the input names.
        PsbtWrongPreviousTransaction = "psbt-wrong-previous-transaction", @ Caller,
            "Add the right one.";
        /// `witness_utxo` is not the output of the previous transaction that the input spends.
        PsbtUtxoMismatch = "psbt-utxo-mismatch", @ Caller,
            "Correct it, or leave `witness_utxo` out.";
        /// An input spends a script that is not the signing key's.
        PsbtNotOurInput = "psbt-not-our-input", @ Caller,
            "Check `--key` and `--path`.";
        /// `tap_internal_key` of an input is not the signing key.
        PsbtWrongInternalKey = "psbt-wrong-internal-key", @ Caller,
            "Check `--key` and `--path`.";
        /// An input asks for a sighash type that is not signed.
        PsbtSighashType = "psbt-sighash-type", @ Caller,
            "Use ALL, or DEFAULT for taproot.";
        /// Two inputs spend the same output.
        PsbtDuplicateInput = "psbt-duplicate-input", @ Caller,
            "Remove one.";
        /// The amounts add up to more than 21 million bitcoin.
        PsbtAmountOutOfRange = "psbt-amount-out-of-range", @ Caller,
            "Check where they come from.";
        /// The outputs are worth more than the inputs.
        PsbtOutputsExceedInputs = "psbt-outputs-exceed-inputs", @ Caller,
            "Correct the amounts.";
        /// No sighash can be computed for an input.
        PsbtSighash = "psbt-sighash", @ Caller,
            "The message says why.";
        /// The message does not fit a packet with its signature.
        SolanaTooLong = "solana-too-long", @ Caller,
            "Split the instructions.";
        /// The bytes are no Solana message.
        SolanaMalformed = "solana-malformed", @ Caller,
            "Send the serialised message, without signatures.";
        /// The message's version is not supported.
        SolanaUnsupportedVersion = "solana-unsupported-version", @ Caller,
            "Use a legacy or a version 0 message.";
        /// Off-chain messages are not signed in this version.
        SolanaOffchainMessage = "solana-offchain-message", @ Caller,
            "Use a transaction message.";
        /// The message contradicts itself, for example names an account that it does not list.
        SolanaUnsound = "solana-unsound", @ Caller,
            "The message says where.";
        /// The message lists an account twice.
        SolanaDuplicateAccount = "solana-duplicate-account", @ Caller,
            "Build it again.";
        /// The message has no instructions.
        SolanaNoInstructions = "solana-no-instructions", @ Caller,
            "Add them.";
        /// The signing key is not among the message's required signers.
        SolanaNotASigner = "solana-not-a-signer", @ Caller,
            "Check `--key` and `--path`.";
        /// The message needs the signatures of other keys as well.
        SolanaOtherSigners = "solana-other-signers", @ Caller,
            "Collect them, and join them with this signature outside.";
    }
}
