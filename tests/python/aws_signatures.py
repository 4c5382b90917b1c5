"""Signatures of AWS, made by botocore, AWS's own library: what Sluice's are compared with.

    python -m pip install botocore==1.44.8
    python tests/python/aws_signatures.py > crates/gateway/src/credentials/aws/sign/botocore.json

The keys are the examples of AWS's documentation; the time is fixed.
"""

import datetime
import json

import botocore.auth
import botocore.awsrequest
import botocore.compat
import botocore.credentials
import botocore.session
import botocore.signers

NOW = datetime.datetime(2026, 11, 30, 1, 2, 3, tzinfo=datetime.timezone.utc)
KEY = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
SESSION_TOKEN = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQ+/=="


class FixedTime(datetime.datetime):
    @classmethod
    def utcnow(cls):
        return NOW.replace(tzinfo=None)

    @classmethod
    def now(cls, tz=None):
        return NOW.astimezone(tz) if tz else NOW.replace(tzinfo=None)


def fix_time():
    botocore.auth.datetime = type("datetime", (), {"datetime": FixedTime})
    botocore.auth.get_current_datetime = lambda remove_tzinfo=True: NOW.replace(tzinfo=None) if remove_tzinfo else NOW


def rds_token(token, host, port, user, region):
    session = botocore.session.get_session()
    session.set_credentials(*KEY, token)
    client = session.create_client("rds", region_name=region)
    made = client.generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user, Region=region)
    return {"session_token": token, "place": f"{host}:{port}", "user": user, "region": region, "token": made}


def secret_request(token, region, secret):
    credentials = botocore.credentials.Credentials(*KEY, token)
    url = f"https://secretsmanager.{region}.amazonaws.com/"
    body = json.dumps({"SecretId": secret}, separators=(",", ":"))
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "secretsmanager.GetSecretValue"}
    request = botocore.awsrequest.AWSRequest("POST", url, headers=headers, data=body)
    botocore.auth.SigV4Auth(credentials, "secretsmanager", region).add_auth(request)
    signed = {name: request.headers[name] for name in ("Authorization", "X-Amz-Date")}
    return {"session_token": token, "region": region, "url": url, "body": body, "signed": signed}


if __name__ == "__main__":
    fix_time()
    made = {
        "at": int(NOW.timestamp()),
        "key": KEY[0],
        "secret": KEY[1],
        "rds": [
            rds_token(None, "db.example.eu-central-1.rds.amazonaws.com", 5432, "sluice", "eu-central-1"),
            rds_token(SESSION_TOKEN, "db.example.us-east-1.rds.amazonaws.com", 6543, "app user+x@y", "us-east-1"),
        ],
        "secrets": [
            secret_request(None, "eu-central-1", "payments"),
            secret_request(SESSION_TOKEN, "us-east-1", "arn:aws:secretsmanager:us-east-1:123456789012:secret:p-a1b2c3"),
        ],
    }
    print(json.dumps(made, indent=2))
