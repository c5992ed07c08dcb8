"""Reports over many records: tables with intervals and tests, pages with pictures. They read rows and run no model."""
