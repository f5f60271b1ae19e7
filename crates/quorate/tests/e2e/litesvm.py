"""Executes signed Solana transactions in LiteSVM, Solana's own runtime in one process.

    litesvm.py PAYER TO [TRANSACTION ...]     accounts in base58, wire transactions in base64

PAYER is given 2 SOL. Signatures are verified. Blockhashes are not checked for age: the transactions are made before the chain is.
Prints for each transaction `ok <balance of TO>` or `refused <why>`.
"""

import base64
import sys

from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata

payer, to = (Pubkey.from_string(text) for text in sys.argv[1:3])
chain = LiteSVM().with_sigverify(True).with_blockhash_check(False)
chain.airdrop(payer, 2_000_000_000)
for text in sys.argv[3:]:
    try:
        transaction = VersionedTransaction.from_bytes(base64.b64decode(text, validate=True))
        result = chain.send_transaction(transaction)
    except Exception as error:  # bytes that are no transaction
        print(f"refused {error}")
        continue
    if isinstance(result, FailedTransactionMetadata):
        print(f"refused {result.err()}")
    else:
        print(f"ok {chain.get_balance(to)}")
