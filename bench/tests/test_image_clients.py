"""Images that engines can unpack, and the clients that pull them."""

import contextlib
import io
import json
import tarfile
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import fixtures
import image_clients
from htpasswd import basic
from run_folder import MIB
from server import Server
from trouble import Trouble


class LayerTest(unittest.TestCase):
    """A layer that is made from a seed."""

    def test_it_is_a_tar_of_just_the_size_that_was_asked_for(self) -> None:
        """With one file, and nothing after its end."""
        layer = b"".join(fixtures._layer("seed", MIB))
        self.assertEqual(len(layer), MIB)
        with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
            (file,) = tar.getmembers()
            self.assertEqual(file.size, MIB - 3 * tarfile.BLOCKSIZE)

    def test_another_seed_is_another_layer(self) -> None:
        """And the same seed is the same, so that every run pulls the same bytes."""
        made = [b"".join(fixtures._layer(seed, 16 * 1024)) for seed in ("one", "one", "other")]
        self.assertEqual(made[0], made[1])
        self.assertNotEqual(made[0], made[2])


class ClientsTest(unittest.TestCase):
    """Clients in a folder of their own."""

    def setUp(self) -> None:
        """Every program is installed, unless a test says otherwise."""
        around = contextlib.ExitStack()
        self.addCleanup(around.close)
        folder = Path(around.enter_context(tempfile.TemporaryDirectory()))
        around.enter_context(mock.patch.object(image_clients, "CONFIGURATIONS", folder))
        around.enter_context(mock.patch.object(image_clients, "subfolder", lambda *_: folder))
        around.enter_context(mock.patch.object(image_clients, "program", lambda name: f"/usr/bin/{name}"))
        self.said = around.enter_context(contextlib.redirect_stdout(io.StringIO()))

    def chosen(self, *, euid: int) -> list[str]:
        """The names of those that can be used by such a user."""
        with mock.patch.object(image_clients.os, "geteuid", lambda: euid):
            return [client.name for client in image_clients.chosen(["docker", "skopeo"])]

    def test_docker_is_left_out_where_its_engine_may_not_run(self) -> None:
        """And it is said."""
        self.assertEqual(self.chosen(euid=1000), ["skopeo"])
        self.assertIn("left out: docker (its engine needs root)", self.said.getvalue())

    def test_what_is_not_installed_is_left_out(self) -> None:
        """And it is said; with nothing left there is nothing to measure."""
        with mock.patch.object(image_clients, "program", lambda name: name == "docker"):
            with self.assertRaisesRegex(Trouble, "none of these clients can be used here"):
                self.chosen(euid=0)
        self.assertIn("left out: docker (dockerd not installed)", self.said.getvalue())
        self.assertIn("left out: skopeo (skopeo not installed)", self.said.getvalue())

    def test_a_client_knows_the_account_of_the_server_that_asks_for_one(self) -> None:
        """And no other server's."""
        (client,) = image_clients.chosen(["skopeo"])
        asking, open_ = Server("asking", [], 5000), Server("open", [], 5001)
        with mock.patch.object(asking, "login", lambda: ("/v2/", {"Authorization": basic("bench", "pw")})):
            client.log_in(asking)
            auths = json.loads(client._logins.read_text())["auths"]
            self.assertEqual(auths, {"127.0.0.1:5000": {"auth": basic("bench", "pw").removeprefix("Basic ")}})
        client.log_in(open_)
        self.assertEqual(json.loads(client._logins.read_text()), {"auths": {}})


if __name__ == "__main__":
    unittest.main()
