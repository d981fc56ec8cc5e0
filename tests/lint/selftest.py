# SPDX-License-Identifier: Apache-2.0
"""Each lint finds what it is for: it is run on a small tree that breaks one rule, and must name the file.

    python3 selftest.py CLANG_FORMAT CLANG_TIDY COMPILER...
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

import lint_circles
import lint_docs
import lint_format
import lint_headers
import lint_includes
import lint_openapi
import lint_references
import lint_symbols
import lint_tidy
import lint_words

CLANG_FORMAT, CLANG_TIDY, *COMPILERS = sys.argv[1:]
SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"
# In two halves, so that the lint that looks for it does not find it here.
MARK = "TO" + "DO"


class Lints(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = self.folder.name
        self.addCleanup(self.folder.cleanup)

    def write(self, path, text):
        whole = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        with open(whole, "w", encoding="utf-8") as file:
            file.write(text)
        return whole

    def finds(self, lint, path, text, *more):
        whole = self.write(path, text)
        self.assertTrue([p for p in lint.check(self.root, *more) if path in p], f"{path} was let through: {text}")
        os.remove(whole)

    def allows(self, lint, path, text, *more):
        whole = self.write(path, text)
        self.assertEqual([p for p in lint.check(self.root, *more) if path in p], [])
        os.remove(whole)

    def test_each_route_is_described(self):
        row = 'ROUTE("GetX", "GET", "/_/x?", false, HEALTH, list, JSON, x),'
        self.write("api/handlers/routes.c", '#define HEALTH   FROM(health, "h.allowFrom")\n' + row)
        described = {"tags": [{"name": "t", "description": ""}], "paths": {}}
        described["paths"]["/_/x"] = {"get": {"tags": ["t"], "description": "Allowed: `h.allowFrom`."}}
        self.allows(lint_openapi, "docs/openapi.json", json.dumps(described))
        described["paths"]["/_/x"]["get"]["description"] = ""
        self.finds(lint_openapi, "docs/openapi.json", json.dumps(described))
        described["paths"] = {"/_/y": {"post": {"tags": ["t"], "description": ""}}}
        self.finds(lint_openapi, "docs/openapi.json", json.dumps(described))

    def test_core_uses_nobody(self):
        for header in ("<lmdb.h>", "<jansson.h>", "<openssl/evp.h>", '"server/server.h"', '"backends/registry.h"'):
            self.finds(lint_includes, "core/x.c", f"#include {header}\n")
        self.allows(lint_includes, "core/x.c", '#include "utapi/status.h"\n#include "commit.h"\n#include <stdio.h>\n')

    def test_backends_use_core_and_their_own_library(self):
        self.write("backends/memory/memory.c", "")
        self.finds(lint_includes, "backends/lmdb/x.c", '#include "http/errors.h"\n')
        self.finds(lint_includes, "backends/memory/x.c", "#include <lmdb.h>\n")
        self.finds(lint_includes, "backends/lmdb/x.c", '#include "../memory/memory.h"\n')
        self.finds(lint_includes, "backends/lmdb/x.c", "void *p = &utapi_memory_backend;\n")
        self.allows(lint_includes, "backends/lmdb/x.c", "#include <lmdb.h>\nvoid *p = &utapi_lmdb_backend;\n")

    def test_api_names_no_backend(self):
        self.write("backends/lmdb/lmdb.c", "")
        self.finds(lint_includes, "api/http/x.c", "void *p = &utapi_lmdb_backend;\n")
        self.finds(lint_includes, "api/http/x.c", "#include <lmdb.h>\n")
        self.finds(lint_includes, "api/http/x.c", '#include "backends/registry.h"\n')
        self.allows(lint_includes, "api/daemon/utapid.c", '#include "backends/registry.h"\n')

    def test_a_layer_of_api_uses_none_above_it(self):
        self.finds(lint_includes, "api/http/x.c", '#include "json/json_text.h"\n')
        self.finds(lint_includes, "api/json/x.c", '#include "auth/auth.h"\n')
        self.finds(lint_includes, "api/config/x.c", '#include "handlers/log.h"\n')
        self.finds(lint_includes, "api/handlers/x.c", '#include "server/server.h"\n')
        self.finds(lint_includes, "api/attic/x.c", '#include "http/errors.h"\n')
        self.finds(lint_includes, "api/ctl/x.c", '#include "server/server.h"\n')
        self.allows(lint_includes, "api/server/x.c", '#include "handlers/router.h"\n#include "http/errors.h"\n')
        self.allows(lint_includes, "api/daemon/x.c", '#include "server/server.h"\n#include "config/config.h"\n')

    def test_each_library_has_its_home(self):
        self.finds(lint_includes, "api/handlers/router.c", "#include <microhttpd.h>\n")
        self.allows(lint_includes, "api/server/request.c", "#include <microhttpd.h>\n")
        self.finds(lint_includes, "api/handlers/handle_list.c", "#include <jansson.h>\n")
        self.allows(lint_includes, "api/json/json_event.c", "#include <jansson.h>\n")

    def test_banned_functions_are_found_in_code_alone(self):
        for name in lint_words.BANNED_CALLS:
            self.finds(lint_words, "core/x.c", SPDX + f"int f(void) {{ return {name}(a, b); }}\n")
        self.allows(lint_words, "core/x.c", SPDX + "/* not strcpy(a) */ char *s = \"sprintf(x)\"; long n = strtoll(s);\n")

    def test_words_and_licences(self):
        self.finds(lint_words, "core/x.c", SPDX + f"/* {MARK} */\n")
        self.finds(lint_words, "docs/x.md", "see ../" + "shared/NOTES.md\n")
        self.finds(lint_words, "core/x.h", "int x;\n")
        self.allows(lint_words, "core/x.h", SPDX + "int x;\n")

    def test_documents(self):
        self.write("docs/README.md", "# A heading, of sorts\n")
        self.finds(lint_docs, "docs/x.md", "[gone](nowhere.md)\n")
        self.finds(lint_docs, "docs/x.md", "[gone](README.md#nothing)\n")
        self.allows(lint_docs, "docs/x.md", "[there](README.md#a-heading-of-sorts) [far](https://example.org)\n")
        self.assertIn("core: has no README.md", self.problems_with(lint_docs, "core/x.c", ""))
        self.write("tests/unit/README.md", "")
        self.finds(lint_docs, "tests/README.md", "`unit`\n")
        self.allows(lint_docs, "tests/README.md", "[unit](unit/README.md)\n")
        self.finds(lint_docs, "docs/x.1", ".Dd $Mdocdate$\n.Sh NAME\n.Bogus\n")

    def test_references(self):
        self.write("core/there.h", "")
        self.write("docs/rules.md", "## Names\n")
        for comment in ("/* see gone.h */", "/* see core/gone*.h */", "/* docs/rules" + ".md#gone */", "/* docs/no" + ".md#names */"):
            self.finds(lint_references, "core/x.c", comment + "\n")
        self.finds(lint_references, "core/x.lua", "-- see gone.h\n")
        self.finds(lint_references, "tests/x.py", "# see gone.h\n")
        self.finds(lint_references, "docs/x.md", "`core/gone.h`\n")
        self.finds(lint_references, "core/x.h", "/* a rule of SPE" + "C 2.3 */\n")
        self.allows(lint_references, "core/x.c", "/* core/there.h, th*.h, <gone.h>, docs/rules" + ".md#names */\nchar *s = \"gone.c\";\n")
        self.allows(lint_references, "docs/x.md", "`core/there.h`\n\n```c\n#include \"gone.h\" /* `gone.h` */\n```\n")

    def test_keys_of_redis(self):
        self.write("backends/redis/redis_keys.h", "/* P:utapid:due */\n")
        for line in ("call('GET', P .. ':utapid:gone')", "prefix .. OWN .. 'gone'"):
            self.finds(lint_references, "backends/redis/lua/x.lua", line + "\n")
        self.finds(lint_references, "backends/redis/x.c", 'utapi_redis_args_own(args, prefix, "gone");\n')
        self.allows(lint_references, "backends/redis/lua/x.lua", "call('GET', P .. ':utapid:due')\n")

    def problems_with(self, lint, path, text):
        self.write(path, text)
        return lint.check(self.root)

    def test_headers(self):
        path = "core/include/utapi/x.h"
        self.finds(lint_headers, path, "size_t f(void);\n", *COMPILERS)
        self.finds(lint_headers, path, "struct x { int a; };\n", *COMPILERS)
        self.allows(lint_headers, path, "#include <stddef.h>\nsize_t f(void);\n", *COMPILERS)

    def test_format(self):
        self.write(".clang-format", "BasedOnStyle: LLVM\n")
        self.finds(lint_format, "core/x.c", "int  f( void );\n", CLANG_FORMAT)
        self.allows(lint_format, "core/x.c", "int f(void);\n", CLANG_FORMAT)
        long = "word " * 24 + "end"
        self.finds(lint_format, "core/x.c", f"/* {long} */\n", CLANG_FORMAT)
        self.finds(lint_format, "backends/redis/lua/x.lua", f"-- {long}\n", CLANG_FORMAT)
        self.allows(lint_format, "core/x.h", f"/* clang-format off */\n/* {long} */\n/* clang-format on */\n", CLANG_FORMAT)

    def test_tidy(self):
        self.write(".clang-tidy", "Checks: 'bugprone-*'\nWarningsAsErrors: '*'\n")
        path = self.write("core/x.c", "int twice(int a)\n{\n    return 2 * a;\n}\n")
        command = {"directory": self.root, "file": path, "arguments": ["cc", "-c", path]}
        self.write("build/compile_commands.json", json.dumps([command]))
        build = os.path.join(self.root, "build")
        self.assertEqual(lint_tidy.check(self.root, CLANG_TIDY, build), [])
        self.write("core/x.c", "int twice(int a)\n{\n    if (a > 0)\n        return 2 * a;\n    else\n"
                               "        return 2 * a;\n}\n")  # fmt: skip
        self.assertTrue(lint_tidy.check(self.root, CLANG_TIDY, build))

    def test_symbols(self):
        self.write("core/include/utapi/x.h", "int utapi_there(void);\n")
        archive = os.path.join(self.root, "x.o")

        def problems(code):
            source = self.write("core/x.c", code)
            subprocess.run([COMPILERS[0], "-c", source, "-o", archive], check=True)
            return lint_symbols.check(self.root, archive)

        self.assertEqual(problems("int utapi_there(void) { return 0; }\n"), [])
        self.assertTrue(problems("int utapi_there(void) { return 0; }\nint stray(void) { return 0; }\n"))
        self.assertTrue(problems("int utapi_there(void) { return 0; }\nint utapi_stray(void) { return 0; }\n"))
        self.assertTrue(problems("static int there;\nint *utapi_other = &there;\n"))

    def test_circles(self):
        build = os.path.join(self.root, "build")

        def problems(**files):
            """Of files x__y_c="code": core/x/y.c, compiled where CMake would."""
            for name, code in files.items():
                path = "core/" + re.sub(r"_([ch])$", r".\1", name.replace("__", "/"))
                source = self.write(path, code)
                if path.endswith(".c"):
                    folder, file = os.path.split(path)
                    compiled = self.write(f"build/{folder}/CMakeFiles/x.dir/{file}.o", "")
                    subprocess.run([COMPILERS[0], "-c", source, "-o", compiled], check=True)
            return lint_circles.check(self.root, build)

        self.assertEqual(problems(x_c="int x(void) { return 0; }", y_c="int x(void); int y(void) { return x(); }"), [])
        self.assertTrue(problems(x_c="int y(void); int x(void) { return y(); }"))
        self.assertEqual(problems(x_c="int x(void) { return 0; }", a_h='#include "b.h"\n', b_h=""), [])
        self.assertTrue(problems(b_h='#include "a.h"\n'))
        self.assertEqual(problems(b_h="", sub__z_c="int y(void); int z(void) { return y(); }"), [])
        self.assertTrue(problems(c_h='#include "sub/z.h"\n', sub__z_h=""), "folders, by an include and by a call")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
