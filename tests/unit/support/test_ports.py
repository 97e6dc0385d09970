"""Ports that stay free until the program that was told to listen on them does."""

import socket

import pytest

from support.ports import HELD, free_port

HOST = "127.0.0.1"


def test_a_port_refuses_connections_until_a_server_listens_on_it() -> None:
    port = free_port()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port))
    with socket.create_server((HOST, port)), socket.create_connection((HOST, port)) as connection:
        assert connection.getpeername() == (HOST, port)


def test_a_server_on_every_address_may_have_it_too() -> None:
    port = free_port()
    with socket.create_server(("", port)), socket.create_connection((HOST, port)) as connection:
        assert connection.getpeername() == (HOST, port)


def test_nobody_else_is_given_it() -> None:
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((HOST, port))


def test_none_comes_twice() -> None:
    assert len({free_port() for _ in range(HELD)}) == HELD
