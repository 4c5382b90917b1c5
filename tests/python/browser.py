"""A browser of few words: it opens an address, signs in as NAME, agrees to everything, and prints the last page.

    browser.py URL NAME [abort]

It keeps cookies, follows redirects, and submits the first form of each page, until a page has none. With `abort` it
declines where a page lets it.
"""

import html.parser
import http.cookiejar
import sys
import urllib.error
import urllib.parse
import urllib.request


class Form(html.parser.HTMLParser):
    """The first form of a page, with its fields, and a link to decline by."""

    def __init__(self, text):
        super().__init__()
        self.action, self.fields, self.inside, self.decline = None, {}, False, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form" and self.action is None:
            self.action, self.inside = attributes.get("action", ""), True
        elif tag == "input" and self.inside and attributes.get("name"):
            self.fields[attributes["name"]] = attributes.get("value", "")
        elif tag == "button" and attributes.get("name") == "abort":
            self.decline = ("field", attributes["value"])
        elif tag == "a" and "abort" in attributes.get("href", ""):
            self.decline = ("link", attributes["href"])

    def handle_endtag(self, tag):
        if tag == "form":
            self.inside = False


def main(url, name, abort):
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def open_page(request):
        try:
            with opener.open(request, timeout=30) as page:
                return page.geturl(), page.read().decode()
        except urllib.error.HTTPError as error:
            return error.geturl(), error.read().decode()

    url, text = open_page(url)
    for _ in range(10):
        form = Form(text)
        if form.action is None:
            break
        if abort and form.decline and form.decline[0] == "link":
            url, text = open_page(urllib.parse.urljoin(url, form.decline[1]))
            break
        fields = form.fields
        if abort and form.decline:
            fields = {key: value for key, value in fields.items() if key != "confirm"} | {"abort": form.decline[1]}
        for field in ("login", "password"):
            if field in fields:
                fields[field] = name
        data = urllib.parse.urlencode(fields).encode()
        url, text = open_page(urllib.request.Request(urllib.parse.urljoin(url, form.action), data=data))
        if "abort" in fields:
            break
    print(text)


main(sys.argv[1], sys.argv[2], sys.argv[3:] == ["abort"])
