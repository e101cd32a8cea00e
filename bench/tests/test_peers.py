"""Which servers are measured, and which are left out."""

import contextlib
import io
import unittest
from unittest import mock

import peers
from trouble import Trouble


class ChosenTest(unittest.TestCase):
    """Servers by name, all programs being installed unless a test says otherwise."""

    def setUp(self) -> None:
        """What is said is kept."""
        around = contextlib.ExitStack()
        self.addCleanup(around.close)
        around.enter_context(mock.patch.object(peers, "program", lambda name: f"/usr/bin/{name}"))
        self.said = around.enter_context(contextlib.redirect_stdout(io.StringIO()))

    def test_those_that_are_named_take_the_place_of_the_usual_ones(self) -> None:
        """In their order."""
        self.assertEqual(peers.chosen("varnish,direct", ["caddy"]), [peers.varnish, peers.Direct])
        self.assertEqual(peers.chosen(None, ["caddy"]), [peers.caddy])
        with self.assertRaisesRegex(Trouble, "there is no server squid"):
            peers.chosen("squid", [])

    def test_one_that_cannot_ask_the_upstream_over_tls_is_left_out(self) -> None:
        """Where it would have to; and it is said."""
        self.assertEqual(peers.chosen(None, ["varnish", "caddy"], upstream_tls=True), [peers.caddy])
        self.assertIn("left out: varnish (it asks no upstream over TLS)", self.said.getvalue())
        self.assertEqual(peers.chosen(None, ["varnish", "caddy"]), [peers.varnish, peers.caddy])

    def test_one_that_is_not_installed_is_left_out(self) -> None:
        """And it is said."""
        with mock.patch.object(peers, "program", lambda name: None):
            self.assertEqual(peers.chosen(None, ["direct", "caddy-tls"]), [peers.Direct])
        self.assertIn("left out: caddy-tls (caddy, openssl not installed)", self.said.getvalue())


if __name__ == "__main__":
    unittest.main()
