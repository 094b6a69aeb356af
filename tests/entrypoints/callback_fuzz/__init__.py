"""Callbacks that no provider sent: thousands of requests changed by a seeded dice.

    shots     one request, what a reader of the vendor's documents says of it, two ways to send it
    changes   what the dice changes: bytes, values, headers, URL
    odd       values that stand where nobody expects them
    accounts  the signers, one a file: twilio, sinch, sendgrid, ses
    campaign  sends, counts, and compares the database with what the signed ones hold
    stage     settings with an account of every vendor, and attempts that callbacks can be about

Each account signs by itself and judges by itself: nothing here asks the client that is tested.
"""
