/* SPDX-License-Identifier: Apache-2.0 */
/* journal.c - opening and closing. */
#include "utapi_journal.h"

utapi_status utapi_journal_open(utapi_backend *storage, const utapi_journal_options *options,
                                utapi_backend **ret, utapi_error *err)
{
    (void)options;
    (void)ret;
    utapi_backend_close(storage);
    return utapi_fail(err, UTAPI_NOT_SUPPORTED, "journal");
}

utapi_status utapi_journal_refused(utapi_backend *journal, utapi_refused_cb *on_refused, void *ctx,
                                   utapi_error *err)
{
    (void)journal;
    (void)on_refused;
    (void)ctx;
    return utapi_fail(err, UTAPI_NOT_SUPPORTED, "journal");
}
