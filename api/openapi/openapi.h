/* SPDX-License-Identifier: Apache-2.0 */
/**
 * openapi.h - the description of the HTTP API that the program brings along: docs/openapi.json, and a page of it.
 */
#ifndef OPENAPI_OPENAPI_H
#define OPENAPI_OPENAPI_H

#include <stddef.h>

/** The document as it stands in docs/, without a NUL at its end. */
extern const char openapi_document[];
extern const size_t openapi_document_size;

/** HTML in UTF-8, which asks for nothing from anywhere, likewise. */
extern const char openapi_page[];
extern const size_t openapi_page_size;

#endif
