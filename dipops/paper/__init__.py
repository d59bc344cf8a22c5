"""The tables and figures of "Deep Image Prior" as rows of data, and what runs them."""
