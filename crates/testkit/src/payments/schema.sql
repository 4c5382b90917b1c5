CREATE TABLE customers (
    id bigint NOT NULL,
    name text NOT NULL,
    email text NOT NULL,
    ssn text NOT NULL,
    phone text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE cards (
    id bigint NOT NULL,
    customer_id bigint NOT NULL,
    number text NOT NULL,
    cvv text NOT NULL,
    expires date NOT NULL
);
CREATE TABLE orders (
    id bigint NOT NULL,
    customer_id bigint NOT NULL,
    total numeric(12, 2) NOT NULL,
    note text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE payments (
    id bigint NOT NULL,
    order_id bigint NOT NULL,
    card_id bigint NOT NULL,
    amount numeric(12, 2) NOT NULL,
    status text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE refunds (
    id bigint NOT NULL,
    payment_id bigint NOT NULL,
    amount numeric(12, 2) NOT NULL,
    reason text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE VIEW customer_cards AS
    SELECT customers.id AS customer_id, customers.name, customers.email, cards.number AS card, cards.expires
    FROM customers JOIN cards ON cards.customer_id = customers.id;
