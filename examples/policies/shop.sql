-- The database of every example: a shop's customers, cards and orders, and one schema for each of two tenants.
CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL, email text NOT NULL, created_at timestamptz);
CREATE TABLE cards (
    id bigint PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers,
    number text NOT NULL,
    cvv text NOT NULL,
    expires date NOT NULL
);
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers,
    total numeric(12, 2) NOT NULL,
    status text NOT NULL
);
CREATE VIEW customer_cards AS
    SELECT customers.name, cards.number AS card FROM customers JOIN cards ON cards.customer_id = customers.id;
CREATE SCHEMA acme;
CREATE TABLE acme.documents (id bigint PRIMARY KEY, title text NOT NULL, body text NOT NULL);
CREATE SCHEMA globex;
CREATE TABLE globex.documents (id bigint PRIMARY KEY, title text NOT NULL, body text NOT NULL);
